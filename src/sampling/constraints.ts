import type { LogitsProcessor } from './logits.ts'

/** A bias for the last token of a sequence, where the tokens before it have just come. */
export type SequenceBias = readonly [ids: readonly number[], bias: number]

/**
 * Adds each bias to the logit of its sequence's last token where `ids` ends with the others; a single token's always.
 */
export function sequenceBias(biases: readonly SequenceBias[]): LogitsProcessor {
  return (logits, ids) => {
    for (const [sequence, bias] of biases) {
      if (isBegun(sequence, ids)) logits[sequence.at(-1)!]! += bias
    }
  }
}

/** Takes out tokens that would complete one of `words`. Single EOS tokens are no words. */
export function badWords(words: readonly (readonly number[])[], eosTokenIds: readonly number[]): LogitsProcessor {
  const banned = words.filter((word) => word.length > 1 || !eosTokenIds.includes(word[0]!))
  return sequenceBias(banned.map((word) => [word, -Infinity] as const))
}

/** Takes the tokens out while `applies` to the number of tokens so far. */
export function suppress(
  tokenIds: readonly number[],
  applies: (numTokens: number) => boolean = () => true,
): LogitsProcessor {
  return (logits, ids) => {
    if (!applies(ids.length)) return
    for (const id of tokenIds) if (id < logits.length) logits[id] = -Infinity
  }
}

/**
 * Leaves only the tokens that `choose` gives for the number of tokens so far, as likely as one another; all where it
 * gives none.
 */
export function force(choose: (numTokens: number) => readonly number[] | undefined): LogitsProcessor {
  return (logits, ids) => {
    const forced = choose(ids.length)
    if (forced === undefined) return
    logits.fill(-Infinity)
    for (const id of forced) logits[id] = 0
  }
}

/** As in transformers, a sequence longer than all of `ids` is never begun, though its beginning may be there. */
function isBegun(sequence: readonly number[], ids: readonly number[]): boolean {
  if (sequence.length === 1) return true
  if (sequence.length > ids.length) return false
  const start = ids.length - (sequence.length - 1)
  for (let i = 0; i < sequence.length - 1; i++) if (ids[start + i] !== sequence[i]) return false
  return true
}
