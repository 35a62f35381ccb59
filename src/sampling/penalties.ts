import type { LogitsProcessor } from './logits.ts'
import type { Workspace } from './workspace.ts'

/**
 * For each token in `ids`, divides a positive logit by `penalty` (> 0) and multiplies a negative one by it (Keskar et
 * al., "CTRL").
 */
export function repetitionPenalty(penalty: number, workspace: Workspace): LogitsProcessor {
  return (logits, ids) =>
    forEachCount(ids, 0, workspace.counts(logits.length), (id) => {
      const logit = logits[id]!
      logits[id] = logit < 0 ? logit * penalty : logit / penalty
    })
}

/**
 * For each token that occurs in `ids` from position `from` on (the answer), subtracts `presence` once and `frequency`
 * for each occurrence from its logit. OpenAI's presence and frequency penalties.
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

/** Bans each token that would complete a sequence of `size` (>= 1) tokens that `ids` already contains. */
export function noRepeatNgrams(size: number): LogitsProcessor {
  return (logits, ids) => {
    const prefixStart = ids.length - (size - 1)
    for (let last = size - 1; last < ids.length; last++) {
      if (endsAlike(ids, last, prefixStart)) logits[ids[last]!] = -Infinity
    }
  }
}

/** Whether the tokens just before position `last` equal those from `prefixStart` to the end of `ids`. */
function endsAlike(ids: readonly number[], last: number, prefixStart: number): boolean {
  for (let back = 1; back <= ids.length - prefixStart; back++) {
    if (ids[last - back] !== ids[ids.length - back]) return false
  }
  return true
}

/** Calls `visit` once for each distinct token of ids[from..], with the number of its occurrences there. */
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
