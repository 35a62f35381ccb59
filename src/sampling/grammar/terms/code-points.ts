import type { Term } from './term.ts'
import type { Terms } from './terms.ts'

/** Ranges of code points, ends included; ascending and apart. */
export type CodePoints = readonly (readonly [first: number, last: number])[]

export const MAX_CODE_POINT = 0x10ffff

/** Where an encoding in UTF-8 becomes longer, and the surrogates, which have none: [first, last] of each length. */
const UTF8: CodePoints = [
  [0, 0x7f],
  [0x80, 0x7ff],
  [0x800, 0xd7ff],
  [0xe000, 0xffff],
  [0x10000, MAX_CODE_POINT],
]

/** Ranges in any order, in ascending order and joined where they touch. */
export function normalized(ranges: Iterable<readonly [number, number]>): CodePoints {
  const result: [number, number][] = []
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    const before = result.at(-1)
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last)
    else result.push([first, last])
  }
  return result
}

export function complement(ranges: CodePoints): CodePoints {
  const result: [number, number][] = []
  let next = 0
  for (const [first, last] of ranges) {
    if (first > next) result.push([next, first - 1])
    next = last + 1
  }
  if (next <= MAX_CODE_POINT) result.push([next, MAX_CODE_POINT])
  return result
}

export function intersection(a: CodePoints, b: CodePoints): CodePoints {
  const pieces = a.flatMap(([first, last]) =>
    b.map(([from, to]): [number, number] => [Math.max(first, from), Math.min(last, to)]),
  )
  return normalized(pieces.filter(([first, last]) => first <= last))
}

/** One code point out of ranges, in UTF-8. Surrogates have no encoding. */
export function utf8(terms: Terms, ranges: CodePoints): Term {
  const pieces = UTF8.flatMap((length) => intersection(ranges, [length]))
  return terms.or(pieces.map(([first, last]) => sequences(terms, encoded(first), encoded(last))))
}

/** All byte sequences from one to another of the same length, of which all but the first bytes are continuations. */
function sequences(terms: Terms, first: readonly number[], last: readonly number[]): Term {
  const [a, ...low] = first as [number, ...number[]]
  const [b, ...high] = last as [number, ...number[]]
  if (low.length === 0) return terms.range(a, b)
  if (a === b) return terms.concat(terms.range(a, a), sequences(terms, low, high))
  const least = low.map(() => 0x80)
  const most = low.map(() => 0xbf)
  const parts: Term[] = []
  const from = low.every((byte) => byte === 0x80) ? a : a + 1
  const to = high.every((byte) => byte === 0xbf) ? b : b - 1
  if (from > a) parts.push(terms.concat(terms.range(a, a), sequences(terms, low, most)))
  if (from <= to) parts.push(terms.concat(terms.range(from, to), ...least.map(() => terms.range(0x80, 0xbf))))
  if (to < b) parts.push(terms.concat(terms.range(b, b), sequences(terms, least, high)))
  return terms.or(parts)
}

function encoded(codePoint: number): number[] {
  return [...Buffer.from(String.fromCodePoint(codePoint), 'utf8')]
}
