import { expSum, maxLogit } from './logits.ts'

/** A token, and its log-probability. */
export interface TokenLogprob {
  readonly tokenId: number
  readonly logprob: number
}

/** A token's log-probability, and the likeliest tokens in its place, likeliest first. */
export interface PlaceLogprobs {
  readonly logprob: number
  readonly top: readonly TokenLogprob[]
}

/**
 * The log-probability of a token under `logits` [vocab], and those of the `numTop` likeliest tokens; lower ids come
 * first among equals. It takes one exponential for each word of the vocabulary: more than the rest of a greedy step.
 * Throws `LOGITS_NAN`.
 */
export function placeLogprobs(logits: Float32Array, tokenId: number, numTop: number): PlaceLogprobs {
  const max = maxLogit(logits)
  const logSum = Math.log(expSum(logits, max))
  const logprob = (id: number): number => logits[id]! - max - logSum
  const top = likeliestIds(logits, numTop).map((id) => ({ tokenId: id, logprob: logprob(id) }))
  return { logprob: logprob(tokenId), top }
}

function likeliestIds(logits: Float32Array, count: number): number[] {
  const best: number[] = []
  if (count === 0) return best
  let least = -Infinity
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!
    if (best.length === count && logit <= least) continue
    let place = best.length
    while (place > 0 && logits[best[place - 1]!]! < logit) place--
    best.splice(place, 0, id)
    if (best.length > count) best.pop()
    least = logits[best.at(-1)!]!
  }
  return best
}
