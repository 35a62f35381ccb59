import { PythonError, UnsupportedError } from '../errors.ts'
import { exponentText, floatText } from './print.ts'
import { accountCharacters } from './limits.ts'

/** The most digits after the point; more than any float has. */
const MAX_PRECISION = 1100

/**
 * `value * 10 ** digits`, rounded to the nearest integer, a tie to the even one, exactly: from the float's own binary
 * fraction. (`toFixed` rounds ties up.)
 */
export function scaledInteger(value: number, digits: number): bigint {
  const bits = new DataView(new ArrayBuffer(8))
  bits.setFloat64(0, value)
  const word = bits.getBigUint64(0)
  const biased = Number((word >> 52n) & 0x7ffn)
  const fraction = word & ((1n << 52n) - 1n)
  const mantissa = biased === 0 ? fraction : fraction | (1n << 52n)
  const exponent = Math.max(biased, 1) - 1075
  const above = mantissa * 10n ** BigInt(Math.max(digits, 0)) * (exponent > 0 ? 1n << BigInt(exponent) : 1n)
  const below = 10n ** BigInt(Math.max(-digits, 0)) * (exponent < 0 ? 1n << BigInt(-exponent) : 1n)
  const rounded = roundedQuotient(above, below)
  return value < 0 ? -rounded : rounded
}

/** `a / b` of integers >= 0, rounded to the nearest, a tie to the even one. */
export function roundedQuotient(a: bigint, b: bigint): bigint {
  const quotient = a / b
  const twice = (a % b) * 2n
  return twice > b || (twice === b && quotient % 2n === 1n) ? quotient + 1n : quotient
}

/** The digits of an absolute value, as C's printf writes it with `type` f, e or g; `alternate` keeps g's zeros. */
export function floatDigits(value: number, type: string, precision: number, alternate = false): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : 'inf'
  if (precision > MAX_PRECISION) throw new PythonError('ValueError', `precision ${precision} of over ${MAX_PRECISION}`)
  if (type === 'f') return fixed(value, precision)
  if (type === 'e') return exponential(value, precision).text
  const significant = Math.max(precision, 1)
  const { exponent, text } = exponential(value, significant - 1)
  const plain = exponent >= -4 && exponent < significant
  const digits = plain ? fixed(value, significant - 1 - exponent) : text
  return alternate ? digits : digits.replace(/(\.\d*?)0+(?=e|$)/, '$1').replace(/\.(?=e|$)/, '')
}

function fixed(value: number, precision: number): string {
  const digits = String(scaledInteger(value, precision)).padStart(precision + 1, '0')
  return precision === 0 ? digits : `${digits.slice(0, -precision)}.${digits.slice(-precision)}`
}

function exponential(value: number, precision: number): { exponent: number; text: string } {
  let exponent = value === 0 ? 0 : Number(value.toExponential().split('e')[1])
  let digits = String(scaledInteger(value, precision - exponent))
  if (digits.length > precision + 1) digits = String(scaledInteger(value, precision - ++exponent))
  digits = digits.padEnd(precision + 1, '0')
  const mantissa = precision === 0 ? digits : `${digits[0]}.${digits.slice(1)}`
  return { exponent, text: `${mantissa}e${exponentText(exponent)}` }
}

/** A format specification of Python's `format(value, spec)`. */
export interface FormatSpec {
  readonly fill: string
  readonly align: string
  readonly sign: string
  readonly alternate: boolean
  readonly width: number
  readonly grouping: string
  readonly precision: number | undefined
  readonly type: string
}

const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/su

/** Reads `[[fill]align][sign][#][0][width][grouping][.precision][type]`. */
export function parseFormatSpec(spec: string): FormatSpec {
  const match = SPEC.exec(spec)
  if (match === null) throw new PythonError('ValueError', `Invalid format specifier '${spec}'`)
  const [, fill, align, sign = '-', alternate, zero, width, grouping = '', precision, type = ''] = match
  return {
    fill: fill ?? (zero === undefined ? ' ' : '0'),
    align: align ?? (zero === undefined ? '' : '='),
    sign,
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    grouping,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  }
}

/** An int or a float as `format(value, spec)` writes it. */
export function formatNumber(value: bigint | number, spec: FormatSpec): string {
  const negative = value < 0 || Object.is(value, -0)
  const mark = negative ? '-' : spec.sign === '-' ? '' : spec.sign
  const digits =
    typeof value === 'bigint' && !'eEfFgG%'.includes(spec.type || 'd') ? intDigits(value, spec) : floatOf(value, spec)
  const [prefix, body] = digits
  const room = spec.width - mark.length - prefix.length
  const zeros = spec.fill === '0' && spec.align === '=' && spec.grouping !== ''
  if (zeros && room > body.length) throw new UnsupportedError('a grouped number padded with zeros')
  return pad(mark + prefix, grouped(body, spec), { ...spec, align: spec.align || '>' })
}

function intDigits(value: bigint, { type, alternate, precision }: FormatSpec): [string, string] {
  if (precision !== undefined) throw new PythonError('ValueError', 'Precision not allowed in integer format specifier')
  const base = { '': 10, d: 10, n: 10, b: 2, o: 8, x: 16, X: 16 }[type]
  if (base === undefined) throw new UnsupportedError(`the format type '${type}' of an int`)
  const digits = (value < 0n ? -value : value).toString(base)
  const prefix = alternate && base !== 10 ? `0${type}` : ''
  return type === 'X' ? [prefix, digits.toUpperCase()] : [prefix, digits]
}

function floatOf(value: bigint | number, { type, alternate, precision }: FormatSpec): [string, string] {
  const float = Math.abs(Number(value))
  if (type === '') {
    const shown = precision === undefined ? floatText(float) : generalFloat(float, precision)
    return ['', shown]
  }
  if (type === '%') return ['', `${floatDigits(float * 100, 'f', precision ?? 6)}%`]
  if (!'eEfFgG'.includes(type))
    throw new PythonError('ValueError', `Unknown format code '${type}' for object of type 'float'`)
  if (alternate) throw new UnsupportedError("'#' in the format of a float")
  const text = floatDigits(float, type.toLowerCase(), precision ?? 6)
  return ['', type < 'a' ? text.toUpperCase() : text]
}

/** No type but a precision: like g, yet with a digit after the point, and an exponent already at 10 ** precision. */
function generalFloat(float: number, precision: number): string {
  const significant = Math.max(precision, 1)
  const exponent = float === 0 ? 0 : exponential(float, significant - 1).exponent
  if (exponent === significant - 1 && exponent > 0) return trimZeros(exponential(float, significant - 1).text)
  const text = floatDigits(float, 'g', significant)
  return /[.en]/.test(text) ? text : `${text}.0`
}

function trimZeros(text: string): string {
  return text.replace(/(\.\d*?)0+(?=e)/, '$1').replace(/\.(?=e)/, '')
}

function grouped(body: string, { grouping, type }: FormatSpec): string {
  if (grouping === '') return body
  const size = 'boxX'.includes(type || 'd') ? 4 : 3
  const [whole, rest] = [/^[\da-fA-F]*/.exec(body)![0], body.replace(/^[\da-fA-F]*/, '')]
  return whole.replaceAll(new RegExp(`\\B(?=(?:[\\da-fA-F]{${size}})+$)`, 'g'), grouping) + rest
}

/** Fills `prefix + body` up to the width; '=' fills between the two. */
export function pad(
  prefix: string,
  body: string,
  { fill, align, width }: Pick<FormatSpec, 'fill' | 'align' | 'width'>,
): string {
  const missing = width - Array.from(prefix + body).length
  if (missing <= 0) return prefix + body
  accountCharacters(missing)
  if (align === '=') return prefix + fill.repeat(missing) + body
  const before = align === '>' ? missing : align === '^' ? Math.floor(missing / 2) : 0
  return fill.repeat(before) + prefix + body + fill.repeat(missing - before)
}
