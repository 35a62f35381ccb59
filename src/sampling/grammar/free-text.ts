import { byteSet } from './terms/byte-set.ts'
import type { Automaton } from './terms/term.ts'
import { SPECIAL_BYTE } from './tokens/vocabulary.ts'

/** The last byte that UTF-8 has. */
const LAST_BYTE = 0xf4

/**
 * Any text up to the first of a marker, which ends it; as bytes, or as the special token that stands for it. States are
 * the bytes of the marker that have been seen, then those of the special token.
 */
export function textUntil(marker: string): Automaton {
  const search = new MarkerSearch(marker)
  const { length } = search.bytes
  const special = length + 1
  return {
    sets: search.sets,
    next(state, byte) {
      if (state === length) return -1
      if (state >= special) return matchSpecial(search.bytes, state - special, byte) ? next(state) : -1
      if (byte === SPECIAL_BYTE) return special
      return byte > LAST_BYTE ? -1 : search.next(state, byte)
    },
    accepts: (state) => state === length,
  }

  function next(state: number): number {
    return state - special === length - 1 ? length : state + 1
  }
}

/** Any text without a marker. All states accept. */
export function textWithout(marker: string): Automaton {
  const search = new MarkerSearch(marker)
  return {
    sets: search.sets,
    next(state, byte) {
      const next = byte > LAST_BYTE ? -1 : search.next(state, byte)
      return next === search.bytes.length ? -1 : next
    },
    accepts: () => true,
  }
}

function matchSpecial(bytes: Uint8Array, at: number, byte: number): boolean {
  return bytes[at] === byte
}

/** Looks for a marker as Knuth, Morris and Pratt do: a state is how much of it the text ends with. */
class MarkerSearch {
  readonly bytes: Uint8Array
  readonly sets: readonly Uint32Array[]
  /** How much of the marker begins again where its first n bytes end. */
  readonly #borders: Int32Array

  constructor(marker: string) {
    this.bytes = Buffer.from(marker, 'utf8')
    const distinct = [...new Set([...this.bytes, SPECIAL_BYTE])]
    this.sets = [...distinct.map((byte) => byteSet([[byte, byte]])), byteSet([[LAST_BYTE + 1, SPECIAL_BYTE]])]
    this.#borders = new Int32Array(this.bytes.length + 1)
    for (let i = 2; i <= this.bytes.length; i++) this.#borders[i] = this.next(this.#borders[i - 1]!, this.bytes[i - 1]!)
  }

  next(state: number, byte: number): number {
    let seen = state
    while (seen > 0 && this.bytes[seen] !== byte) seen = this.#borders[seen]!
    return this.bytes[seen] === byte ? seen + 1 : 0
  }
}
