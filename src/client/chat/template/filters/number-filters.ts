import { PythonError, UnsupportedError, typeError } from '../errors.ts'
import { asInt, asNumber, operate, toFloat } from '../values/operators.ts'
import { boundedInt } from '../values/limits.ts'
import { floatDigits, roundedQuotient, scaledInteger } from '../values/number-format.ts'
import { strip } from '../values/text.ts'
import { Markup, Undefined, type Value, typeName } from '../values/value.ts'
import { type Filter, filter } from './filter.ts'

/** Filters that make numbers. */
export const NUMBER_FILTERS: Readonly<Record<string, Filter>> = {
  abs: filter('abs', [], (value) => {
    const number = numberOf(value!, 'abs')
    return number < 0 ? -number : number === 0 ? 0 : number
  }),
  int: filter(
    'int',
    [
      ['default', 0n],
      ['base', 10n],
    ],
    (value, ifNone, base) => toInt(value!, base!) ?? ifNone!,
  ),
  float: filter('float', [['default', 0]], (value, ifNone) => toFloatValue(value!) ?? ifNone!),
  round: filter(
    'round',
    [
      ['precision', 0n],
      ['method', 'common'],
    ],
    (value, precision, method) => round(value!, asInt(precision!, 'round'), method!),
  ),
}

function numberOf(value: Value, what: string): bigint | number {
  const number = asNumber(value)
  if (number !== undefined) return number
  if (value instanceof Undefined) throw value.error
  throw typeError(`${what}: a number is expected, not '${typeName(value)}'`)
}

/** Python's `int(value)`, else `int(float(value))`; undefined where both fail. */
function toInt(value: Value, base: Value): bigint | undefined {
  if (value instanceof Undefined) throw value.error
  const number = asNumber(value)
  if (typeof number === 'bigint') return number
  if (number === Infinity || number === -Infinity)
    throw new PythonError('OverflowError', 'cannot convert float infinity to integer')
  if (typeof value === 'string') {
    const whole = parseInt(value, Number(asInt(base, 'int')))
    if (whole !== undefined) return whole
  }
  const float = toFloatValue(value)
  return typeof float === 'number' && Number.isFinite(float) ? BigInt(Math.trunc(float)) : undefined
}

function parseInt(text: string, base: number): bigint | undefined {
  const bare = strip(text, null, true, true)
  refuseForeignDigits(bare)
  if (![0, 2, 8, 10, 16].includes(base)) throw new UnsupportedError(`the filter int with base ${base}`)
  const prefixes: Readonly<Record<number, string>> = { 2: '0b', 8: '0o', 16: '0x' }
  const [, mark, rest] = /^([-+]?)(.*)$/s.exec(bare)!
  const radix =
    base === 0
      ? Number(Object.keys(prefixes).find((r) => rest!.toLowerCase().startsWith(prefixes[Number(r)]!)) ?? 10)
      : base
  const prefix = prefixes[radix]
  const digits =
    prefix !== undefined && rest!.toLowerCase().startsWith(prefix) ? rest!.slice(2).replace(/^_/, '') : rest!
  const allowed = { 2: '[01]', 8: '[0-7]', 10: '\\d', 16: '[\\da-fA-F]' }[radix]!
  if (!new RegExp(`^${allowed}+(?:_${allowed}+)*$`).test(digits)) return undefined
  if (base === 0 && radix === 10 && /^0+[1-9]/.test(digits)) return undefined
  if (digits.length > 4300) return undefined
  const value = boundedInt(BigInt((prefix ?? '') + digits.replaceAll('_', '')))
  return mark === '-' ? -value : value
}

/** Python's `float(value)`; undefined where it raises a TypeError or a ValueError. */
function toFloatValue(value: Value): number | undefined {
  if (value instanceof Undefined) throw value.error
  const number = asNumber(value)
  if (number !== undefined) return toFloat(number)
  if (value instanceof Markup) throw new UnsupportedError('numbers of HTML')
  if (typeof value !== 'string') return undefined
  const text = strip(value, null, true, true)
  refuseForeignDigits(text)
  const special = /^([-+]?)(inf|infinity|nan)$/i.exec(text)
  if (special !== null)
    return special[2]!.toLowerCase() === 'nan' ? Number.NaN : special[1] === '-' ? -Infinity : Infinity
  const digits = '\\d+(?:_\\d+)*'
  const form = new RegExp(`^[-+]?(?:${digits}\\.?(?:${digits})?|\\.${digits})(?:e[-+]?${digits})?$`, 'i')
  return form.test(text) ? Number(text.replaceAll('_', '')) : undefined
}

function refuseForeignDigits(text: string): void {
  if (/(?!\d)\p{Nd}/u.test(text)) throw new UnsupportedError('numbers in other than ASCII digits')
}

function round(value: Value, precision: bigint, method: Value): Value {
  if (method !== 'common' && method !== 'ceil' && method !== 'floor')
    throw new PythonError('FilterArgumentError', 'method must be common, ceil or floor')
  const number = numberOf(value, 'round')
  if (method === 'common')
    return typeof number === 'bigint' ? roundInt(number, precision) : roundFloat(number, Number(precision))
  const scale = operate('**', 10n, precision)
  const scaled = operate('*', number, scale) as bigint | number
  if (typeof scaled === 'number' && !Number.isFinite(scaled))
    throw new PythonError('OverflowError', 'cannot convert float infinity to integer')
  return operate(
    '/',
    typeof scaled === 'bigint' ? scaled : BigInt(method === 'ceil' ? Math.ceil(scaled) : Math.floor(scaled)),
    scale,
  )
}

function roundInt(value: bigint, precision: bigint): bigint {
  if (precision >= 0n) return value
  const unit = operate('**', 10n, -precision) as bigint
  const rounded = roundedQuotient(value < 0n ? -value : value, unit) * unit
  return value < 0n ? -rounded : rounded
}

/** The nearest float to the value's decimals, cut to `precision` of them; a tie to the even digit. */
function roundFloat(value: number, precision: number): number {
  if (!Number.isFinite(value) || precision > 323) return value
  if (precision < -308) return value < 0 ? -0 : 0
  const size = Math.abs(value)
  const rounded =
    precision >= 0
      ? Number(floatDigits(size, 'f', precision))
      : Number(`${scaledInteger(size, precision)}e${-precision}`)
  return value < 0 || Object.is(value, -0) ? -rounded : rounded
}
