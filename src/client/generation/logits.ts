import { PetalsError } from '../../base/errors.ts'

/**
 * The largest logit. -Infinity is a token that cannot be. Throws `LOGITS_NAN` for NaN and Infinity, and where no token
 * can be: then a server computed nonsense.
 */
export function maxLogit(logits: Float32Array): number {
  let max = -Infinity
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!
    if (!(logit < Infinity)) throw notFinite(`the logit of token ${id} is ${logit}`)
    if (logit > max) max = logit
  }
  if (max === -Infinity) throw notFinite(`none of ${logits.length} logits is finite`)
  return max
}

/** The sum of exp(logit - max), `max` being the largest logit: at least 1, at most their number. */
export function expSum(logits: Float32Array, max: number): number {
  let sum = 0
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - max)
  return sum
}

function notFinite(what: string): PetalsError {
  return new PetalsError('LOGITS_NAN',
    `${what}: a server of the chain returned non-finite values; generate again through other servers`)
}
