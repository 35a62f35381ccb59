import { type CodePoints, MAX_CODE_POINT, complement, intersection, utf8 } from '../terms/code-points.ts'
import type { Term } from '../terms/term.ts'
import type { Terms } from '../terms/terms.ts'

/** What stands in a JSON string only behind a backslash. */
const ESCAPED: CodePoints = [
  [0, 0x1f],
  [0x22, 0x22],
  [0x5c, 0x5c],
]

const EVERY: CodePoints = [[0, MAX_CODE_POINT]]

/**
 * One code point out of ranges within a JSON string, in the one way in which `JSON.stringify` writes it. Surrogates by
 * themselves are left out.
 */
export function stringCharacter(terms: Terms, ranges: CodePoints = EVERY): Term {
  const escapes: Term[] = []
  for (const [first, last] of intersection(ranges, ESCAPED))
    for (let c = first; c <= last; c++) escapes.push(terms.text(JSON.stringify(String.fromCodePoint(c)).slice(1, -1)))
  return terms.or([utf8(terms, intersection(ranges, complement(ESCAPED))), ...escapes])
}

/** One code point within a JSON string, in any way in which it may be written. */
function anyStringCharacter(terms: Terms): Term {
  const hex = [
    [0x30, 0x39],
    [0x41, 0x46],
    [0x61, 0x66],
  ] as const
  const digit = terms.or(hex.map(([first, last]) => terms.range(first, last)))
  const oneOf = (letters: string): Term => terms.or([...letters].map((letter) => terms.text(letter)))
  const d = oneOf('dD')
  const notSurrogate = terms.or([
    terms.concat(oneOf('0123456789abcefABCEF'), digit, digit, digit),
    terms.concat(d, oneOf('01234567'), digit, digit),
  ])
  const pair = terms.concat(d, oneOf('89abAB'), digit, digit, terms.text('\\u'), d, oneOf('cdefCDEF'), digit, digit)
  return terms.or([
    utf8(terms, complement(ESCAPED)),
    terms.concat(terms.text('\\'), oneOf('"\\/bfnrt')),
    terms.concat(terms.text('\\u'), terms.or([notSurrogate, pair])),
  ])
}

/** A JSON string without its opening quote. */
export function closed(terms: Terms, body: Term): Term {
  return terms.atom(terms.concat(body, terms.text('"')))
}

/** A JSON string of `min` to `max` code points. */
export function freeString(terms: Terms, min = 0, max = Infinity): Term {
  return terms.concat(terms.text('"'), closed(terms, terms.repeat(anyStringCharacter(terms), min, max)))
}
