import { expSum, maxLogit } from './logits.ts'
import type { SamplingOptions } from './options.ts'
import { type LogitsProcessor, temperature, topK, topP } from './processors.ts'
import { seededRandom } from './random.ts'

/** A token and, where asked for, its log-probability under the model itself: before temperature, top-k and top-p. */
export interface Sample {
  readonly tokenId: number
  readonly logprob: number | undefined
}

/** Chooses the next token from the logits [vocab], which it leaves as they are; `ids` are the tokens so far. */
export type Sampler = (logits: Float32Array, ids: readonly number[]) => Sample

/**
 * A sampler for one text, whose draws follow from the seed. Takes checked options. Greedy prefers the lowest id among
 * equals. The sampler throws `LOGITS_NAN` for logits that a server cannot have computed rightly.
 */
export function createSampler(options: SamplingOptions): Sampler {
  const choose = options.temperature === undefined || options.temperature === 0 ? likeliest : drawer(options)
  return (logits, ids) => {
    const max = maxLogit(logits)
    const tokenId = choose(logits, ids)
    // An exponential per word of the vocabulary: more than all the rest of a greedy step.
    return { tokenId, logprob: options.logprobs === true ? logits[tokenId]! - max - Math.log(expSum(logits, max)) : undefined }
  }
}

type Choice = (logits: Float32Array, ids: readonly number[]) => number

function drawer(options: SamplingOptions): Choice {
  const processors = createProcessors(options)
  const random = seededRandom(options.seed)
  let scratch = new Float32Array(0)
  return (logits, ids) => {
    if (scratch.length !== logits.length) scratch = new Float32Array(logits.length)
    scratch.set(logits)
    for (const process of processors) process(scratch, ids)
    return draw(scratch, random())
  }
}

/** In the order in which transformers applies them: top-p looks at the probabilities among the top k. */
function createProcessors(options: SamplingOptions): LogitsProcessor[] {
  const processors: LogitsProcessor[] = []
  const { temperature: t = 0, topK: k = 0, topP: p = 1 } = options
  if (t !== 1) processors.push(temperature(t))
  if (k > 0) processors.push(topK(k))
  if (p < 1) processors.push(topP(p))
  return processors
}

function likeliest(logits: Float32Array): number {
  let best = 0
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id
  return best
}

/** The token at which the summed probabilities pass `uniform`, a number in [0, 1). */
function draw(logits: Float32Array, uniform: number): number {
  const max = maxLogit(logits)
  const target = uniform * expSum(logits, max)
  let sum = 0
  let drawn = 0
  for (let id = 0; id < logits.length; id++) {
    const weight = Math.exp(logits[id]! - max)
    if (weight === 0) continue
    drawn = id
    sum += weight
    if (sum > target) break
  }
  return drawn
}
