import { PythonError, UnsupportedError, typeError } from '../errors.ts'
import { type Parameter, bind } from '../values/bind.ts'
import { isTruthy, iterate } from '../values/iterate.ts'
import { accountCharacters, accountElements, accountText } from '../values/limits.ts'
import { asInt } from '../values/operators.ts'
import {
  LINE_ENDS,
  SPACES,
  capitalize,
  codePointPlace,
  codePoints,
  isPlain,
  isSpace,
  splitText,
  strip,
  textLength,
  titleWords,
} from '../values/text.ts'
import { type Arguments, Markup, Tuple, type Value, typeName } from '../values/value.ts'
import { sliceBounds } from './slices.ts'
import { isOfKind } from './text-kinds.ts'

/** A method of a text: its parameters, and what it does. */
interface Method {
  readonly parameters: readonly Parameter[]
  readonly run: (text: string, ...values: Value[]) => Value
}

const method = (parameters: readonly Parameter[], run: Method['run']): Method => ({ parameters, run })
const plain = (run: (text: string) => Value): Method => method([], run)

/** A value that must be a text. */
export function asText(value: Value, what: string): string {
  if (typeof value === 'string') return value
  if (value instanceof Markup) throw new UnsupportedError(`HTML as the argument of ${what}`)
  throw typeError(`${what} argument must be str, not ${typeName(value)}`)
}

const charsOf = (value: Value, what: string) => (value === null ? null : asText(value, what))
const RANGE: readonly Parameter[] = [
  ['start', null],
  ['end', null],
]
const SPLIT: readonly Parameter[] = [
  ['sep', null],
  ['maxsplit', -1n],
]

const METHODS: ReadonlyMap<string, Method> = new Map(
  Object.entries({
    strip: method([['chars', null]], (s, chars) => strip(s, charsOf(chars!, 'strip'), true, true)),
    lstrip: method([['chars', null]], (s, chars) => strip(s, charsOf(chars!, 'lstrip'), true, false)),
    rstrip: method([['chars', null]], (s, chars) => strip(s, charsOf(chars!, 'rstrip'), false, true)),
    split: method(SPLIT, (s, sep, max) => split(s, sep!, asInt(max!, 'split'))),
    rsplit: method(SPLIT, (s, sep, max) => rsplit(s, sep!, asInt(max!, 'rsplit'))),
    splitlines: method([['keepends', false]], (s, keep) => splitLines(s, isTruthy(keep!))),
    upper: plain((s) => s.toUpperCase()),
    lower: plain((s) => s.toLowerCase()),
    capitalize: plain(capitalize),
    title: plain(titleWords),
    startswith: method([['prefix'], ...RANGE], (s, affix, start, end) =>
      affixes(affix!, 'startswith').some((a) => inRange(s, start!, end!)?.startsWith(a) ?? false),
    ),
    endswith: method([['suffix'], ...RANGE], (s, affix, start, end) =>
      affixes(affix!, 'endswith').some((a) => inRange(s, start!, end!)?.endsWith(a) ?? false),
    ),
    removeprefix: method([['prefix']], (s, affix) => {
      const prefix = asText(affix!, 'removeprefix()')
      return s.startsWith(prefix) ? s.slice(prefix.length) : s
    }),
    removesuffix: method([['suffix']], (s, affix) => {
      const suffix = asText(affix!, 'removesuffix()')
      return suffix !== '' && s.endsWith(suffix) ? s.slice(0, -suffix.length) : s
    }),
    replace: method([['old'], ['new'], ['count', -1n]], (s, old, by, count) =>
      replaceText(s, asText(old!, 'replace()'), asText(by!, 'replace()'), asInt(count!, 'replace()')),
    ),
    find: method([['sub'], ...RANGE], (s, sub, start, end) => place(s, sub!, start!, end!, false)),
    rfind: method([['sub'], ...RANGE], (s, sub, start, end) => place(s, sub!, start!, end!, true)),
    index: method([['sub'], ...RANGE], (s, sub, start, end) => found(place(s, sub!, start!, end!, false))),
    rindex: method([['sub'], ...RANGE], (s, sub, start, end) => found(place(s, sub!, start!, end!, true))),
    count: method([['sub'], ...RANGE], (s, sub, start, end) => count(s, asText(sub!, 'count()'), start!, end!)),
    join: method([['iterable']], (s, items) => join(s, items!)),
    partition: method([['sep']], (s, sep) => partition(s, asText(sep!, 'partition()'), false)),
    rpartition: method([['sep']], (s, sep) => partition(s, asText(sep!, 'rpartition()'), true)),
    ljust: method([['width'], ['fill', ' ']], (s, width, fill) => justify(s, width!, fill!, 'left')),
    rjust: method([['width'], ['fill', ' ']], (s, width, fill) => justify(s, width!, fill!, 'right')),
    center: method([['width'], ['fill', ' ']], (s, width, fill) => justify(s, width!, fill!, 'center')),
    zfill: method([['width']], (s, width) => {
      const mark = /^[-+]/.exec(s)?.[0] ?? ''
      return mark + justify(s.slice(mark.length), asInt(width!, 'zfill') - BigInt(mark.length), '0', 'right')
    }),
    isspace: plain(isSpace),
    isdigit: plain((s) => isOfKind(s, 'isdigit')),
    isdecimal: plain((s) => isOfKind(s, 'isdecimal')),
    isalpha: plain((s) => isOfKind(s, 'isalpha')),
    isalnum: plain((s) => isOfKind(s, 'isalnum')),
    isascii: plain((s) => /^[\0-\x7f]*$/.test(s)),
    isupper: plain((s) => isOfKind(s, 'isupper')),
    islower: plain((s) => isOfKind(s, 'islower')),
  }),
)

/** Methods of `str` that exist in Python and not here. */
const MISSING = new Set(
  'casefold encode expandtabs format_map isidentifier isnumeric isprintable istitle maketrans swapcase translate'.split(
    ' ',
  ),
)

/**
 * The method of a text, but `format`; undefined if Python knows none of the name. Throws for one that is not supported
 * here.
 */
export function stringMethod(text: string, name: string): ((given: Arguments) => Value) | undefined {
  if (MISSING.has(name)) throw new UnsupportedError(`str.${name}`)
  const found = METHODS.get(name)
  if (found === undefined) return undefined
  return (given) => {
    accountCharacters(text.length)
    const result = found.run(text, ...bind(name, found.parameters, given))
    return typeof result === 'string' ? accountText(result) : result
  }
}

function split(text: string, sep: Value, max: bigint): Value[] {
  const limit = max < 0n ? Infinity : Number(max)
  if (sep === null) return splitSpace(strip(text, null, true, false), limit)
  const mark = separator(sep)
  const parts = splitText(text, mark)
  if (parts.length <= limit + 1) return parts
  return [...parts.slice(0, limit), parts.slice(limit).join(mark)]
}

function splitSpace(text: string, limit: number): Value[] {
  const parts: string[] = []
  let start = 0
  for (const gap of text.matchAll(SPACES)) {
    if (parts.length >= limit) break
    accountElements(1)
    parts.push(text.slice(start, gap.index))
    start = gap.index + gap[0].length
  }
  const rest = text.slice(start)
  if (rest !== '') parts.push(rest)
  return parts
}

function rsplit(text: string, sep: Value, max: bigint): Value[] {
  if (max < 0n) return split(text, sep, max)
  const limit = Number(max)
  if (sep === null) {
    const reversed = codePoints(text).toReversed().join('')
    const parts = splitSpace(strip(reversed, null, true, false), limit) as string[]
    return parts.map((part) => codePoints(part).toReversed().join('')).toReversed()
  }
  const mark = separator(sep)
  const parts = splitText(text, mark)
  if (parts.length <= limit + 1) return parts
  const cut = parts.length - limit
  return [parts.slice(0, cut).join(mark), ...parts.slice(cut)]
}

function separator(sep: Value): string {
  const mark = asText(sep, 'split()')
  if (mark === '') throw new PythonError('ValueError', 'empty separator')
  return mark
}

/** Python's splitlines. */
export function splitLines(text: string, keepEnds: boolean): string[] {
  const lines: string[] = []
  let start = 0
  for (const end of text.matchAll(LINE_ENDS)) {
    accountElements(1)
    const after = end.index + end[0].length
    lines.push(text.slice(start, keepEnds ? after : end.index))
    start = after
  }
  return start < text.length ? [...lines, text.slice(start)] : lines
}

/** Python's replace; a count below 0 means all. */
export function replaceText(text: string, old: string, by: string, count: bigint): string {
  const pieces = old === '' ? ['', ...codePoints(text), ''] : splitText(text, old)
  const times = count < 0n ? pieces.length - 1 : Math.min(Number(count), pieces.length - 1)
  accountCharacters(by.length * times)
  const head = pieces.slice(0, times + 1).join(by)
  return times === pieces.length - 1 ? head : head + old + pieces.slice(times + 1).join(old)
}

function affixes(value: Value, what: string): string[] {
  if (value instanceof Tuple) return value.items.map((item) => asText(item, what))
  return [asText(value, what)]
}

/** The part between two places; undefined where the start lies behind the end. */
function inRange(text: string, start: Value, end: Value): string | undefined {
  if (start === null && end === null) return text
  const length = textLength(text)
  const { from, to } = sliceBounds(length, start, end)
  if ((start !== null && asInt(start, 'start') > BigInt(length)) || from > to) return undefined
  return isPlain(text) ? text.slice(from, to) : codePoints(text).slice(from, to).join('')
}

function place(text: string, sub: Value, start: Value, end: Value, last: boolean): bigint {
  const wanted = asText(sub, 'find()')
  const part = inRange(text, start, end)
  if (part === undefined) return -1n
  const unit = last ? part.lastIndexOf(wanted) : part.indexOf(wanted)
  return unit < 0 ? -1n : BigInt(codePointPlace(part, unit) + sliceBounds(textLength(text), start, end).from)
}

function found(at: bigint): bigint {
  if (at < 0n) throw new PythonError('ValueError', 'substring not found')
  return at
}

function count(text: string, sub: string, start: Value, end: Value): bigint {
  const part = inRange(text, start, end)
  if (part === undefined) return 0n
  return BigInt(sub === '' ? textLength(part) + 1 : part.split(sub).length - 1)
}

function join(separatorText: string, items: Value): string {
  const texts: string[] = []
  for (const item of iterate(items)) {
    const text = asText(item, 'join()')
    accountCharacters(text.length + separatorText.length)
    texts.push(text)
  }
  return texts.join(separatorText)
}

function partition(text: string, mark: string, last: boolean): Tuple {
  separator(mark)
  const at = last ? text.lastIndexOf(mark) : text.indexOf(mark)
  if (at < 0) return new Tuple(last ? ['', '', text] : [text, '', ''])
  return new Tuple([text.slice(0, at), mark, text.slice(at + mark.length)])
}

/** Python's ljust, rjust and center; center puts an odd space left where the width is odd. */
export function justify(text: string, width: Value, fill: Value, side: 'left' | 'right' | 'center'): string {
  const wanted = Number(asInt(width, 'width'))
  const missing = Math.max(wanted - textLength(text), 0)
  accountCharacters(missing)
  const mark = asText(fill, 'fill')
  if (textLength(mark) !== 1) throw typeError('The fill character must be exactly one character long')
  const before = { left: 0, right: missing, center: Math.floor(missing / 2) + (missing & wanted & 1) }[side]
  return mark.repeat(before) + text + mark.repeat(missing - before)
}
