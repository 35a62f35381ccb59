import { type ResolvedOptions, isSampling } from '../../sampling/options/options.ts'

/** What choosing takes for each word of a vocabulary: to find the largest, those of top-k, or an exponential of all. */
const LARGEST = 1e-9
const TOP_K = 5e-9
const EXPONENTIAL = 40e-9

/** About how long it takes to choose a text's next token, in seconds; a beam search chooses one for each beam. */
export function choosingSeconds(options: ResolvedOptions, vocabSize: number): number {
  return (options.numBeams ?? 1) * vocabSize * secondsPerWord(options)
}

function secondsPerWord(options: ResolvedOptions): number {
  const { logprobs, numBeams = 1, topK = 0 } = options
  if (logprobs === true || numBeams > 1) return EXPONENTIAL
  if (!isSampling(options)) return LARGEST
  return topK > 0 ? TOP_K : EXPONENTIAL
}
