import type { LogitsProcessor } from './logits.ts'
import type { Workspace } from './workspace.ts'

/**
 * Makes tokens of `ids` less likely: divides their positive logits by `penalty` (> 0), multiplies the negative ones.
 */
export function repetitionPenalty(penalty: number, workspace: Workspace): LogitsProcessor {
  return (logits, ids) =>
    forEachCount(ids, 0, workspace.counts(logits.length), (id) => {
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
  workspace: Workspace,
): LogitsProcessor {
  return (logits, ids) =>
    forEachCount(ids, from, workspace.counts(logits.length), (id, count) => {
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

/** Calls `visit` once for each different token of ids[from..], with how often it is there. */
function forEachCount(
  ids: readonly number[],
  from: number,
  counts: Uint32Array,
  visit: (id: number, count: number) => void,
): void {
  for (let i = from; i < ids.length; i++) counts[ids[i]!]!++
  for (let i = from; i < ids.length; i++) {
    const id = ids[i]!
    const count = counts[id]!
    if (count > 0) visit(id, count)
    counts[id] = 0
  }
}
