import { expSum, maxLogit } from './logits.ts'
import { type ResolvedOptions, isSampling } from '../options/options.ts'
import { createProcessors } from './processors.ts'
import { seededRandom } from '../options/random.ts'

/** A token and, where asked for, its log-probability under the model itself: before all processors. */
export interface Sample {
  readonly tokenId: number
  readonly logprob: number | undefined
}

/** Chooses the next token from the logits [vocab], which it leaves as they are; `ids` are the tokens so far. */
export type Sampler = (logits: Float32Array, ids: readonly number[]) => Sample

/**
 * A sampler for one text, whose draws follow from the seed. Takes checked options. Greedy prefers the lowest id among
 * equals. The sampler throws `LOGITS_NAN` for logits that a server cannot have computed rightly, and `USAGE` where the
 * options leave no token.
 */
export function createSampler(options: ResolvedOptions, promptLength: number): Sampler {
  const processors = createProcessors(options, { promptLength })
  const choose = isSampling(options) ? drawer(options.seed) : likeliest
  let scratch = new Float32Array(0)
  return (logits, ids) => {
    const max = maxLogit(logits)
    let processed = logits
    if (processors.length > 0) {
      if (scratch.length !== logits.length) scratch = new Float32Array(logits.length)
      scratch.set(logits)
      processed = scratch
      for (const process of processors) process(processed, ids)
    }
    const tokenId = choose(processed)
    // An exponential per word of the vocabulary: more than all the rest of a greedy step.
    return {
      tokenId,
      logprob: options.logprobs === true ? logits[tokenId]! - max - Math.log(expSum(logits, max)) : undefined,
    }
  }
}

function drawer(seed: number | undefined): (logits: Float32Array) => number {
  const random = seededRandom(seed)
  return (logits) => draw(logits, random())
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
