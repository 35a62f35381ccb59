import { PetalsError, UsageError } from '../base/errors.ts'

/**
 * Changes the logits [vocab] of the next token in place; -Infinity bans a token. `ids` are the tokens so far, prompt
 * and answer. A processor may keep scratch memory but nothing about a text, because the beams of a search share one
 * list of processors.
 */
export type LogitsProcessor = (logits: Float32Array, ids: readonly number[]) => void

/**
 * The id of the token with the largest logit, the lowest id among equals. Throws `LOGITS_NAN` if a logit is NaN or
 * +Infinity or all are -Infinity: a server computed nonsense.
 */
export function likeliest(logits: Float32Array): number {
  let max = -Infinity
  let best = -1
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!
    // One comparison for nearly all logits; a NaN fails it, too, and goes on to the check below.
    if (logit <= max) continue
    if (!(logit < Infinity)) throw notFinite(`the logit of token ${id} is ${logit}`)
    max = logit
    best = id
  }
  if (best === -1) throw notFinite(`none of ${logits.length} logits is finite`)
  return best
}

/** The largest logit. Throws as `likeliest` does. */
export function maxLogit(logits: Float32Array): number {
  return logits[likeliest(logits)]!
}

/** The sum of exp(logit - max) over the first `count` logits, of which `max` is the largest: between 1 and `count`. */
export function expSum(logits: Float32Array, max: number, count = logits.length): number {
  let sum = 0
  for (let i = 0; i < count; i++) sum += Math.exp(logits[i]! - max)
  return sum
}

/**
 * The last processor of a list: changes nothing and checks what the others left. Throws `USAGE` if a logit is NaN or
 * +Infinity or all tokens are banned.
 */
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
