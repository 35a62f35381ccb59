import { accountElements } from './limits.ts'

/** Python counts code points where JavaScript counts UTF-16 units; these differ for texts with surrogates. */
const SURROGATE = /[\ud800-\udfff]/

/** What `str.isspace` and `str.strip` mean by white space; JavaScript's set differs. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'

export const SPACES = new RegExp(`[${SPACE}]+`, 'g')

const SPACE_ONLY = new RegExp(`^[${SPACE}]+$`)

const LINE_END = '\n\r\v\f\x1c-\x1e\x85\u2028\u2029'

/** Where `str.splitlines` ends a line. */
export const LINE_ENDS = new RegExp(`\r\n|[${LINE_END}]`, 'g')

/** Letters whose title case is neither themselves nor their upper case, and their title case, in pairs. */
const TITLE_CASE = new Map(
  ['ǅ', 'ǈ', 'ǋ', 'ǲ'].flatMap((c) => [c, c.toUpperCase(), c.toLowerCase()].map((k) => [k, c])),
)

/** True if every code point is one UTF-16 unit. */
export function isPlain(text: string): boolean {
  return !SURROGATE.test(text)
}

/** The code points of a text, each as a string. */
export function codePoints(text: string): string[] {
  accountElements(text.length)
  return isPlain(text) ? text.split('') : Array.from(text)
}

/** The parts of a text between the places of `mark`, which is not empty. */
export function splitText(text: string, mark: string): string[] {
  for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + mark.length)) accountElements(1)
  return text.split(mark)
}

/** Python's len(text). */
export function textLength(text: string): number {
  if (isPlain(text)) return text.length
  let length = 0
  for (let at = 0; at < text.length; at += pointWidth(text, at)) length++
  return length
}

/** How many UTF-16 units the code point at a place takes. */
function pointWidth(text: string, at: number): number {
  return text.codePointAt(at)! > 0xffff ? 2 : 1
}

/** The first code point of a text, and the rest. */
export function cutFirst(text: string): [first: string, rest: string] {
  const width = text === '' ? 0 : pointWidth(text, 0)
  return [text.slice(0, width), text.slice(width)]
}

/** The place of a UTF-16 unit in code points. */
export function codePointPlace(text: string, unit: number): number {
  return textLength(text.slice(0, unit))
}

/** The order of two texts by code points. */
export function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return rank(a.charCodeAt(i)) - rank(b.charCodeAt(i))
  return a.length - b.length
}

/** A UTF-16 unit's place among code points: surrogates stand for those above all other units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit
}

export function isSpace(text: string): boolean {
  return SPACE_ONLY.test(text)
}

/** Python's strip at either end; `chars` null means white space. */
export function strip(text: string, chars: string | null, left: boolean, right: boolean): string {
  const set = chars === null ? undefined : new Set(codePoints(chars))
  const goes = (c: string) => (set === undefined ? isSpace(c) : set.has(c))
  const start = left ? firstStaying(text, goes) : 0
  return text.slice(start, right ? lastStaying(text, start, goes) : text.length)
}

function firstStaying(text: string, goes: (c: string) => boolean): number {
  let start = 0
  while (start < text.length && goes(pointAt(text, start))) start += pointWidth(text, start)
  return start
}

/** Where the last code point behind `start` that stays ends. */
function lastStaying(text: string, start: number, goes: (c: string) => boolean): number {
  let end = text.length
  while (end > start && goes(pointBefore(text, end))) end -= pointBefore(text, end).length
  return end
}

const pointAt = (text: string, at: number): string => String.fromCodePoint(text.codePointAt(at)!)

/** The code point that ends before a place. */
function pointBefore(text: string, end: number): string {
  const pair = text.slice(Math.max(end - 2, 0), end)
  return pair.length === 2 && pair.codePointAt(0)! > 0xffff ? pair : text[end - 1]!
}

/** `str.capitalize`: the first letter in title case, the rest in lower case. */
export function capitalize(text: string): string {
  const [first, rest] = cutFirst(text)
  return titleCase(first) + lowerRest(first, rest)
}

/** `str.title`: every run of letters capitalized. */
export function titleWords(text: string): string {
  return text.replaceAll(/\p{Cased}+/gu, (word) => {
    const [first, rest] = cutFirst(word)
    return titleCase(first) + lowerRest(first, rest)
  })
}

/** One letter in title case, from its upper case: of several letters (ß: SS) only the first stays large. */
function titleCase(letter: string): string {
  const known = TITLE_CASE.get(letter)
  if (known !== undefined) return known
  const greek = letter.normalize('NFD').endsWith('\u0345')
  if (greek || /[\u10d0-\u10ff]/.test(letter)) return greek ? greekTitle(letter) : letter
  const [first, rest] = cutFirst(letter.toUpperCase())
  return first + rest.toLowerCase()
}

/** Greek letters with a subscript iota keep it in title case: ᾳ becomes ᾼ. */
function greekTitle(letter: string): string {
  const bare = letter.normalize('NFD').replace('\u0345', '')
  return `${bare.toUpperCase()}\u0345`.normalize('NFC')
}

/** The lower case of what follows `first`; a final sigma depends on what is before it. */
function lowerRest(first: string, rest: string): string {
  return (first + rest).toLowerCase().slice(first.toLowerCase().length)
}
