import { PythonError, UnsupportedError, typeError } from '../errors.ts'
import { accountCharacters } from './limits.ts'
import { floatDigits, pad } from './number-format.ts'
import { repr, toText } from './print.ts'
import { codePoints, textLength } from './text.ts'
import { Dict, DictView, Range, Tuple, Undefined, type Value, typeName } from './value.ts'

const FIELD = /%(?:\(((?:[^()]|\([^()]*\))*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?(.)?/gsu

interface Field {
  readonly flags: string
  readonly width: number
  readonly precision: number | undefined
  readonly type: string
}

/** Python's `format % args`. */
export function formatPercent(format: string, args: Value): string {
  const queue = args instanceof Tuple ? [...args.items] : [args]
  const mapping = args instanceof Dict ? args : undefined
  const next = () => {
    if (queue.length === 0) throw typeError('not enough arguments for format string')
    return queue.shift()!
  }
  let named = false
  const text = format.replace(FIELD, (...match) => {
    const [, key, flags, width, precision, type] = match as unknown as (string | undefined)[]
    if (type === undefined) throw new PythonError('ValueError', 'incomplete format')
    if (width === '*' || precision === '*') throw new UnsupportedError("'*' in a % format")
    const field = {
      flags: flags ?? '',
      width: Number(width ?? 0),
      precision: precision === undefined ? undefined : Number(precision),
      type,
    }
    if (type === '%') return '%'
    if (key === undefined) return oneField(next(), field)
    named = true
    if (mapping === undefined) throw typeError('format requires a mapping')
    const value = mapping.get(key)
    if (value === undefined) throw new PythonError('KeyError', repr(key))
    return oneField(value, field)
  })
  const indexable = Array.isArray(args) || args instanceof Range || args instanceof Dict || args instanceof Undefined
  if (queue.length > 0 && !named && !indexable && !(args instanceof DictView && queue.length === 0))
    throw typeError('not all arguments converted during string formatting')
  return text
}

function oneField(value: Value, field: Field): string {
  const { type, flags } = field
  if ('sra'.includes(type)) return aligned('', textField(value, field), field, false)
  if (type === 'c') return aligned('', character(value), field, false)
  const number = typeof value === 'boolean' ? BigInt(value) : value
  const isInt = 'diuxXo'.includes(type)
  if (!isInt && !'eEfFgG'.includes(type)) throw new PythonError('ValueError', `unsupported format character '${type}'`)
  if (value instanceof Undefined) throw value.error
  if (typeof number !== 'bigint' && (typeof number !== 'number' || 'xXo'.includes(type))) {
    if (!isInt) throw typeError(`must be real number, not ${typeName(value)}`)
    throw typeError(`%${type} format: a real number is required, not ${typeName(value)}`)
  }
  const negative = number < 0 || Object.is(number, -0)
  const mark = negative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : ''
  if (!isInt) return aligned(mark, floatField(Math.abs(Number(number)), field), field, true)
  const [prefix, digits] = intField(whole(number), field)
  return aligned(whole(number) === 0n && typeof number === 'number' ? '' : mark + prefix, digits, field, true)
}

function whole(number: bigint | number): bigint {
  if (typeof number === 'bigint') return number
  if (!Number.isFinite(number)) throw new PythonError('ValueError', 'cannot convert float NaN or infinity to integer')
  return BigInt(Math.trunc(number))
}

function textField(value: Value, { type, precision }: Field): string {
  if (type === 'a') throw new UnsupportedError('%a')
  const text = type === 's' ? toText(value) : repr(value)
  return precision === undefined ? text : codePoints(text).slice(0, precision).join('')
}

function character(value: Value): string {
  if (typeof value === 'string' && textLength(value) === 1) return value
  const code = typeof value === 'boolean' ? BigInt(value) : value
  if (typeof code === 'bigint' && code >= 0n && code < 0x110000n) return String.fromCodePoint(Number(code))
  throw typeError('%c requires int or char')
}

function floatField(value: number, { type, precision, flags }: Field): string {
  const text = floatDigits(value, type.toLowerCase(), precision ?? 6, flags.includes('#'))
  return type < 'a' ? text.toUpperCase() : text
}

function intField(value: bigint, { type, precision, flags }: Field): [string, string] {
  const base = { x: 16, X: 16, o: 8 }[type] ?? 10
  const digits = (value < 0n ? -value : value).toString(base)
  const prefix = flags.includes('#') && base !== 10 ? `0${type}` : ''
  accountCharacters(precision ?? 0)
  const padded = (type === 'X' ? digits.toUpperCase() : digits).padStart(precision ?? 0, '0')
  return [prefix, padded]
}

function aligned(mark: string, body: string, { flags, width }: Field, zeros: boolean): string {
  const align = flags.includes('-') ? '<' : flags.includes('0') && zeros ? '=' : '>'
  return pad(mark, body, { fill: align === '=' ? '0' : ' ', align, width })
}
