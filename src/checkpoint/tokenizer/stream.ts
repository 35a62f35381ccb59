/** The state of an incremental decoding. Plain data. */
export interface StreamState {
  /** The latest ids, enough of them that the next ids decode as they do within the whole text. */
  readonly tail: readonly number[]
  /** How many ids of `tail` had been decoded when text was last returned; their text ends in a whole character. */
  readonly settled: number
  /** How many characters of the decoded tail have been returned. */
  readonly emitted: number
}

export const STREAM_START: StreamState = { tail: [], settled: 0, emitted: 0 }

/** Whether all of a text has been returned, to the end of a character. */
export function isWhole({ tail, settled, emitted }: StreamState): boolean {
  return emitted > 0 && settled === tail.length
}

/** The state behind a token that adds `text`, whole characters, to whole ones: as `advance` would give it. */
export function behindWhole(
  id: number,
  { text, dropsFirstSpace }: { readonly text: string; readonly dropsFirstSpace: boolean },
): StreamState {
  return { tail: [id], settled: 1, emitted: text.length - (dropsFirstSpace && text.startsWith(' ') ? 1 : 0) }
}

/** The character that ends a decoded text whose last character lacks bytes. */
const REPLACEMENT = '\uFFFD'

/**
 * A tail this long without a whole character at its end is cut: no character has so many tokens, so these are invalid
 * bytes.
 */
const MAX_TAIL = 64

/** Tokens that stay when a tail is cut. UTF-8 is in step again after 4 bytes. */
const CUT_TAIL = 16

/**
 * Decodes `ids` as the continuation of `state`; returns the completed text and the new state. No piece ends within a
 * character; all pieces and the final `rest` together are exactly the decoded whole. The cost of a step does not grow
 * with the text.
 */
export function advance(
  decode: (ids: readonly number[]) => string,
  state: StreamState,
  ids: readonly number[],
): { state: StreamState; piece: string } {
  const tail = [...state.tail, ...ids]
  const text = decode(tail)
  const end = wholeLength(text)
  const piece = text.slice(state.emitted, end)
  const emitted = Math.max(state.emitted, end)
  if (end === text.length && piece !== '') {
    const kept = tail.slice(state.settled)
    return { piece, state: { tail: kept, settled: kept.length, emitted: decode(kept).length } }
  }
  if (tail.length <= MAX_TAIL) return { piece, state: { tail, settled: state.settled, emitted } }
  const kept = tail.slice(-CUT_TAIL)
  return { piece, state: { tail: kept, settled: 0, emitted: wholeLength(decode(kept)) } }
}

/** The text still held back when a stream ends: an incomplete character, or nothing. */
export function rest(decode: (ids: readonly number[]) => string, state: StreamState): string {
  return decode(state.tail).slice(state.emitted)
}

/** The length of the text without an incomplete character at its end. */
function wholeLength(text: string): number {
  return text.endsWith(REPLACEMENT) ? text.length - 1 : text.length
}
