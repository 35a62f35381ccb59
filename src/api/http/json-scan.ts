import { badRequest } from '../errors/api-error.ts'

/**
 * How many lists and objects may lie within each other: far more than schemas have, and few enough for whoever prints
 * them.
 */
const MAX_DEPTH = 1000

/**
 * How many lists, objects and texts there may be, names of fields among them: ten thousand messages have half as many.
 * Numbers are not counted. Of so many parts a parser makes values in 5 to 40 ms; a body of 4 MiB could have ten times
 * as many, and hold up everybody's answers for a fifth of a second.
 */
const MAX_PARTS = 1 << 17

/** How many fields one object may have: more than schemas have, and few enough for a parser that looks each one up. */
const MAX_FIELDS = 1 << 13

const [QUOTE, BACKSLASH, COLON, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = Buffer.from('"\\:[]{}')

/** Looks at a JSON text as it arrives, before it is parsed: how deep it goes and how much of it there is. */
export class JsonScan {
  #depth = 0
  #numParts = 0
  /** Fields of each open object, by its level. */
  readonly #numFields = new Int32Array(MAX_DEPTH + 1)
  #inString = false
  #isEscaped = false

  /** The next bytes. Throws an `ApiError` for too many levels, parts or fields. */
  add(bytes: Uint8Array): void {
    let [depth, numParts, inString, isEscaped] = [this.#depth, this.#numParts, this.#inString, this.#isEscaped]
    const numFields = this.#numFields
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]
      if (isEscaped) isEscaped = false
      else if (byte === QUOTE) {
        inString = !inString
        if (inString) numParts++
      } else if (inString) isEscaped = byte === BACKSLASH
      else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
        numParts++
        if (++depth > MAX_DEPTH) throw badRequest(`the body is nested deeper than ${MAX_DEPTH} levels`)
        numFields[depth] = 0
      } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--
      else if (byte === COLON && ++numFields[depth]! > MAX_FIELDS)
        throw badRequest(`an object in the body has more than ${MAX_FIELDS} fields`)
    }
    this.#depth = depth
    this.#numParts = numParts
    this.#inString = inString
    this.#isEscaped = isEscaped
    if (numParts > MAX_PARTS) throw badRequest(`the body has more than ${MAX_PARTS} lists, objects and texts`)
  }
}
