import type { LogitsProcessor } from './logits.ts'

/**
 * Makes tokens of `ids` less likely: divides their positive logits by `penalty` (> 0), multiplies the negative ones.
 */
export function repetitionPenalty(penalty: number): LogitsProcessor {
  const counts = new TokenCounts()
  return (logits, ids) =>
    counts.forEach(ids, 0, logits.length, (id) => {
      const logit = logits[id]!
      logits[id] = logit < 0 ? logit * penalty : logit / penalty
    })
}

/**
 * Takes `presence` once and `frequency` per occurrence from the logits of the tokens from position `from` of `ids` on.
 */
export function countPenalties(
  { presence, frequency }: { presence: number; frequency: number },
  from: number,
): LogitsProcessor {
  const counts = new TokenCounts()
  return (logits, ids) =>
    counts.forEach(ids, from, logits.length, (id, count) => {
      logits[id] = logits[id]! - count * frequency - presence
    })
}

/** Takes out what would complete a run of `size` (>= 1) tokens that `ids` already has. */
export function noRepeatNgrams(size: number): LogitsProcessor {
  return (logits, ids) => {
    const prefixStart = ids.length - (size - 1)
    for (let last = size - 1; last < ids.length; last++) {
      if (endsAlike(ids, last, prefixStart)) logits[ids[last]!] = -Infinity
    }
  }
}

/** Whether the tokens before position `last` are those from `prefixStart` to the end. */
function endsAlike(ids: readonly number[], last: number, prefixStart: number): boolean {
  for (let back = 1; back <= ids.length - prefixStart; back++) {
    if (ids[last - back] !== ids[ids.length - back]) return false
  }
  return true
}

/** Counts tokens in memory that is used again. */
class TokenCounts {
  #counts = new Uint32Array(0)

  /** Calls `visit` once for each different token of ids[from..], with how often it is there. */
  forEach(ids: readonly number[], from: number, vocabSize: number, visit: (id: number, count: number) => void): void {
    if (this.#counts.length !== vocabSize) this.#counts = new Uint32Array(vocabSize)
    const counts = this.#counts
    for (let i = from; i < ids.length; i++) counts[ids[i]!]!++
    for (let i = from; i < ids.length; i++) {
      const id = ids[i]!
      const count = counts[id]!
      if (count > 0) visit(id, count)
      counts[id] = 0
    }
  }
}
