import { PythonError, UnsupportedError, typeError } from '../errors.ts'
import { asText, justify, replaceText, splitLines } from '../methods/string-methods.ts'
import { slice } from '../methods/slices.ts'
import { elementsOf, isTruthy, iterate, lengthOf } from '../values/iterate.ts'
import { escapeHtml } from '../values/html.ts'
import { type JsonOptions, toJson } from '../values/json.ts'
import { asInt, asNumber, operate } from '../values/operators.ts'
import { toText } from '../values/print.ts'
import { capitalize, cutFirst, splitText, strip, textLength } from '../values/text.ts'
import { Dict, Markup, Tuple, type Value } from '../values/value.ts'
import { accountText } from '../values/limits.ts'
import { type Filter, filter } from './filter.ts'

/** A text of what a filter is applied to; HTML keeps its mark in jinja2, which is not supported here. */
function softText(value: Value, what: string): string {
  if (value instanceof Markup) throw new UnsupportedError(`the filter ${what} of HTML`)
  return toText(value)
}

const onText = (name: string, change: (text: string) => string): Filter =>
  filter(name, [], (value) => accountText(change(softText(value!, name))))

/** Filters that make texts. */
export const TEXT_FILTERS: Readonly<Record<string, Filter>> = {
  upper: onText('upper', (s) => s.toUpperCase()),
  lower: onText('lower', (s) => s.toLowerCase()),
  capitalize: onText('capitalize', capitalize),
  title: onText('title', titleFilter),
  string: filter('string', [], (value) => (value instanceof Markup ? value : toText(value!))),
  trim: filter('trim', [['chars', null]], (value, chars) =>
    strip(softText(value!, 'trim'), chars === null ? null : asText(chars!, 'trim'), true, true),
  ),
  replace: filter('replace', [['old'], ['new'], ['count', null]], (s, old, by, count) =>
    accountText(replaceText(toText(s!), toText(old!), toText(by!), count === null ? -1n : asInt(count!, 'replace'))),
  ),
  center: filter('center', [['width', 80n]], (s, width) => justify(softText(s!, 'center'), width!, ' ', 'center')),
  indent: filter(
    'indent',
    [
      ['width', 4n],
      ['first', false],
      ['blank', false],
    ],
    (s, width, first, blank) => indent(s!, width!, isTruthy(first!), isTruthy(blank!)),
  ),
  truncate: filter(
    'truncate',
    [
      ['length', 255n],
      ['killwords', false],
      ['end', '...'],
      ['leeway', null],
    ],
    (s, length, killwords, end, leeway) => truncate(s!, [length!, killwords!, end!, leeway!]),
  ),
  wordcount: filter('wordcount', [], (s) => countWords(softText(s!, 'wordcount'))),
  format: ({ args: [format, ...args], kwargs }) => {
    if (args.length > 0 && kwargs.size > 0)
      throw new PythonError('FilterArgumentError', "can't handle positional and keyword arguments at the same time")
    return operate('%', softText(format!, 'format'), kwargs.size > 0 ? Dict.of(kwargs) : new Tuple(args))
  },
  urlencode: filter('urlencode', [], (value) => accountText(urlEncode(value!))),
  tojson: filter(
    'tojson',
    [
      ['ensure_ascii', false],
      ['indent', null],
      ['separators', null],
      ['sort_keys', false],
    ],
    (value, ascii, indentation, separators, sortKeys) =>
      toJson(value!, jsonOptions(ascii!, indentation!, separators!, sortKeys!)),
  ),
  safe: filter('safe', [], (value) => new Markup(toText(value!))),
  escape: filter('escape', [], (value) => new Markup(escapeHtml(value!))),
  forceescape: filter('forceescape', [], (value) => new Markup(escapeHtml(toText(value!)))),
}

function countWords(text: string): bigint {
  let count = 0n
  for (const _ of text.matchAll(/[\p{L}\p{N}_]+/gu)) count++
  return count
}

/** jinja2's own title case: a word begins behind white space, a dash or an opening bracket. */
function titleFilter(text: string): string {
  return text
    .split(/([-\s({[<]+)/)
    .map((word) => {
      const [first, rest] = cutFirst(word)
      return first.toUpperCase() + rest.toLowerCase()
    })
    .join('')
}

function indent(value: Value, width: Value, first: boolean, blank: boolean): string {
  if (value instanceof Markup) throw new UnsupportedError('the filter indent of HTML')
  const text = operate('+', value, '\n') as string
  const by = typeof width === 'string' ? width : (operate('*', ' ', asInt(width, 'indent')) as string)
  const [head = '', ...lines] = splitLines(text, false)
  const rest = lines.map((line) => (blank || line !== '' ? `\n${accountText(by)}${line}` : '\n'))
  return accountText((first ? by : '') + head + rest.join(''))
}

function truncate(value: Value, [length, killwords, end, leeway]: readonly Value[]): Value {
  const [most, tail] = [Number(asInt(length!, 'truncate')), asText(end!, 'truncate')]
  const slack = leeway === null ? 5 : Number(asInt(leeway!, 'truncate'))
  if (most < textLength(tail))
    throw new PythonError('AssertionError', `expected length >= ${textLength(tail)}, got ${most}`)
  if (slack < 0) throw new PythonError('AssertionError', `expected leeway >= 0, got ${slack}`)
  const size = lengthOf(value)
  if (size !== undefined && size <= most + slack) return value
  const text = asText(value, 'truncate')
  const cut = slice(text, null, BigInt(most - textLength(tail)), null) as string
  const space = cut.lastIndexOf(' ')
  return (isTruthy(killwords!) || space < 0 ? cut : cut.slice(0, space)) + tail
}

function urlEncode(value: Value): string {
  const elements = value instanceof Dict ? value.entries : elementsOf(value)
  if (typeof value === 'string' || value instanceof Markup || elements === undefined)
    return splitText(toText(value), '/').map(quoteUrl).join('/')
  const pairs =
    value instanceof Dict ? value.entries : [...(elements as Iterable<Value>)].map((pair) => [...iterate(pair)])
  return pairs
    .map((pair) => {
      if (pair.length !== 2) throw new PythonError('ValueError', 'a pair is expected')
      return pair.map((side) => quoteUrl(toText(side!)).replaceAll('%20', '+')).join('=')
    })
    .join('&')
}

function quoteUrl(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function jsonOptions(ascii: Value, indentation: Value, separators: Value, sortKeys: Value): JsonOptions {
  const width = asNumber(indentation)
  if (indentation !== null && typeof indentation !== 'string' && typeof width !== 'bigint')
    throw typeError('indent must be an int or a str')
  const marks = separators === null ? [indentation === null ? ', ' : ',', ': '] : [...iterate(separators)]
  if (marks.length !== 2) throw new PythonError('ValueError', 'separators: two are expected')
  return {
    ensureAscii: isTruthy(ascii),
    indent:
      typeof width === 'bigint' ? (operate('*', ' ', width) as string) : ((indentation as string | null) ?? undefined),
    itemSeparator: asText(marks[0]!, 'separators'),
    keySeparator: asText(marks[1]!, 'separators'),
    sortKeys: isTruthy(sortKeys),
  }
}
