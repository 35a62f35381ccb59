import { PetalsError, UsageError } from '../../../base/errors.ts'

/**
 * Changes the logits [vocab] of the next token in place; `ids` are the tokens so far, prompt and answer. -Infinity
 * takes a token out. It may keep memory to work in but nothing about the text: beams share one list of processors.
 */
export type LogitsProcessor = (logits: Float32Array, ids: readonly number[]) => void

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

/** A processor that changes nothing. Throws `USAGE` where those before it left no token, or NaN or Infinity. */
export function requirePossible(logits: Float32Array): void {
  let possible = false
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!
    if (!(logit < Infinity)) {
      throw new UsageError(
        `the logits processors made the logit of token ${id} ${logit}: give finite values, or -Infinity to take it out`,
      )
    }
    possible ||= logit > -Infinity
  }
  if (!possible) {
    throw new UsageError(
      'the options leave no token that can come next: of those that ban and those that force tokens, drop some',
    )
  }
}

function notFinite(what: string): PetalsError {
  return new PetalsError(
    'LOGITS_NAN',
    `${what}: a server of the chain returned non-finite values; generate again through other servers`,
  )
}
