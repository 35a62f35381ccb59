import { type TokenTrie, buildTrie } from './token-trie.ts'

/** What a special token's bytes begin with. No text in UTF-8 has this byte, so no grammar lets one in by accident. */
export const SPECIAL_BYTE = 0xff

/** What the bytes of a model's tokens are. Plain data in shared memory. */
export interface Vocabulary {
  readonly trie: TokenTrie
  /** The bytes of all tokens, one after the other. */
  readonly bytes: Uint8Array
  /** Where each token's bytes begin, and where the last one's end. */
  readonly starts: Uint32Array
  /** Whether a text loses the space that it begins with when it is decoded. */
  readonly dropsFirstSpace: boolean
}

/** `tokens[id]` are a token's bytes; those of special tokens are the token's text behind `SPECIAL_BYTE`. */
export function createVocabulary(tokens: readonly Uint8Array[], dropsFirstSpace: boolean): Vocabulary {
  const starts = new Uint32Array(new SharedArrayBuffer(4 * (tokens.length + 1)))
  for (const [id, { length }] of tokens.entries()) starts[id + 1] = starts[id]! + length
  const bytes = new Uint8Array(new SharedArrayBuffer(starts[tokens.length]!))
  for (const [id, token] of tokens.entries()) bytes.set(token, starts[id])
  return { trie: buildTrie(tokens), bytes, starts, dropsFirstSpace }
}

/** A token's bytes; none for ids that are no tokens. */
export function bytesOf({ bytes, starts }: Vocabulary, id: number): Uint8Array {
  return id + 1 < starts.length ? bytes.subarray(starts[id], starts[id + 1]) : bytes.subarray(0, 0)
}

/** How many tokens there are. */
export function sizeOf({ starts }: Vocabulary): number {
  return starts.length - 1
}
