import type { LogitsProcessor } from './logits.ts'

/** A sequence of tokens and the bias for its last token; it counts where the sequence's other tokens have just come. */
export type SequenceBias = readonly [ids: readonly number[], bias: number]

/**
 * Adds a sequence's bias to the logit of its last token wherever `ids` ends with the sequence's other tokens; always
 * for sequences of one token.
 */
export function sequenceBias(biases: readonly SequenceBias[]): LogitsProcessor {
  return (logits, ids) => {
    for (const [sequence, bias] of biases) {
      if (isBegun(sequence, ids)) logits[sequence.at(-1)!]! += bias
    }
  }
}

/**
 * Bans each token that would complete one of `words`, which are sequences of tokens. A word that is a single EOS token
 * is passed over, as in transformers.
 */
export function badWords(words: readonly (readonly number[])[], eosTokenIds: readonly number[]): LogitsProcessor {
  const banned = words.filter((word) => word.length > 1 || !eosTokenIds.includes(word[0]!))
  return sequenceBias(banned.map((word) => [word, -Infinity] as const))
}

/** Bans the tokens whenever `applies`, called with the number of tokens so far, is true. */
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
 * Bans all tokens but those that `choose` returns for the number of tokens so far; these become equally likely. Does
 * nothing where `choose` returns undefined.
 */
export function force(choose: (numTokens: number) => readonly number[] | undefined): LogitsProcessor {
  return (logits, ids) => {
    const forced = choose(ids.length)
    if (forced === undefined) return
    logits.fill(-Infinity)
    for (const id of forced) logits[id] = 0
  }
}

/**
 * Whether `ids` ends with all tokens of the sequence but its last one. A sequence longer than `ids` does not count, as
 * in transformers.
 */
function isBegun(sequence: readonly number[], ids: readonly number[]): boolean {
  if (sequence.length === 1) return true
  if (sequence.length > ids.length) return false
  const start = ids.length - (sequence.length - 1)
  for (let i = 0; i < sequence.length - 1; i++) if (ids[start + i] !== sequence[i]) return false
  return true
}
