import { PythonError } from '../errors.ts'

/** The most characters that one rendering may make: templates come from strangers. */
const MAX_CHARACTERS = 1 << 28

/** The most elements of lists and the like that one rendering may make. */
const MAX_ELEMENTS = 1 << 24

/** The largest integer in bits; above it, one multiplication could outlast the time limit. */
const MAX_INT_BITS = 1 << 14

const MAX_INT = 1n << BigInt(MAX_INT_BITS)

/** What the rendering of now has made. Renderings are synchronous, so there is one at a time. */
const made = { characters: 0, elements: 0 }

/** Begins a rendering's account. */
export function beginAccount(): void {
  made.characters = 0
  made.elements = 0
}

/** Takes `count` characters that are about to be made. Throws when the rendering has made too many. */
export function accountCharacters(count: number): void {
  made.characters += count
  if (made.characters > MAX_CHARACTERS) throw tooMuch(`${MAX_CHARACTERS} characters`)
}

/** Takes `count` elements that are about to be made. Throws when the rendering has made too many. */
export function accountElements(count: number): void {
  made.elements += count
  if (made.elements > MAX_ELEMENTS) throw tooMuch(`${MAX_ELEMENTS} elements`)
}

function tooMuch(limit: string): PythonError {
  return new PythonError('MemoryError', `more than ${limit} were made`)
}

/** A text that was made, accounted for. */
export function accountText(text: string): string {
  accountCharacters(text.length)
  return text
}

/** The integer itself. Throws for one of more than 16384 bits. */
export function boundedInt(value: bigint): bigint {
  if (value > MAX_INT || value < -MAX_INT)
    throw new PythonError('OverflowError', `integer of over ${MAX_INT_BITS} bits`)
  return value
}

/** `base ** exponent` of an exponent >= 0, bounded as `boundedInt`. */
export function boundedPower(base: bigint, exponent: bigint): bigint {
  const bits = base.toString(2).length
  if (base !== 0n && base !== 1n && base !== -1n && exponent * BigInt(bits - 1) > BigInt(MAX_INT_BITS))
    throw new PythonError('OverflowError', `integer of over ${MAX_INT_BITS} bits`)
  return boundedInt(base ** exponent)
}
