/** Where an incremental decoding stands. Plain data. */
export interface StreamState {
  /** The last ids: enough context to decode the next ones as they decode within the whole. */
  readonly tail: readonly number[]
  /** How many of `tail` ended in a whole character when text last came out. */
  readonly settled: number
  /** Characters of the decoded tail that have come out. */
  readonly emitted: number
}

export const STREAM_START: StreamState = { tail: [], settled: 0, emitted: 0 }

/** Stands at the end of a decoded text whose last character lacks bytes. */
const REPLACEMENT = '\uFFFD'

/**
 * A tail without a whole character at its end is cut here: no character has so many tokens, so these are bad bytes.
 */
const MAX_TAIL = 64

/** Tokens that such a cut leaves; UTF-8 is in step again after 4 bytes. */
const CUT_TAIL = 16

/**
 * Decodes `ids` after those of `state`. The pieces of a stream never split a character, and together with the `rest` at
 * its end they are exactly the decoded whole. The cost of a step does not grow with the stream.
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

/** What a stream that ends here still holds back: an incomplete character. */
export function rest(decode: (ids: readonly number[]) => string, state: StreamState): string {
  return decode(state.tail).slice(state.emitted)
}

function wholeLength(text: string): number {
  return text.endsWith(REPLACEMENT) ? text.length - 1 : text.length
}
