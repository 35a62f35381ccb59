import { PetalsError, UsageError } from '../base/errors.ts'

/**
 * Changes the logits [vocab] of the next token in place; `ids` are the tokens so far, prompt and answer. -Infinity
 * takes a token out. It may keep memory to work in but nothing about the text: beams share one list of processors.
 */
export type LogitsProcessor = (logits: Float32Array, ids: readonly number[]) => void

/**
 * The token of the largest logit, the lowest of those that are equal. -Infinity is a token that cannot be. Throws
 * `LOGITS_NAN` for NaN and Infinity, and where no token can be: then a server computed nonsense.
 */
export function likeliest(logits: Float32Array): number {
  let max = -Infinity
  let best = -1
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!
    // One comparison for nearly all of them: NaN is not at most anything.
    if (logit <= max) continue
    if (!(logit < Infinity)) throw notFinite(`the logit of token ${id} is ${logit}`)
    max = logit
    best = id
  }
  if (best === -1) throw notFinite(`none of ${logits.length} logits is finite`)
  return best
}

/** The largest logit; throws as `likeliest`. */
export function maxLogit(logits: Float32Array): number {
  return logits[likeliest(logits)]!
}

/** The sum of exp(logit - max), `max` being the largest of the first `count` logits: at least 1, at most `count`. */
export function expSum(logits: Float32Array, max: number, count = logits.length): number {
  let sum = 0
  for (let i = 0; i < count; i++) sum += Math.exp(logits[i]! - max)
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
