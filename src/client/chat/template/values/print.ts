import { PythonError, UnsupportedError } from '../errors.ts'
import { accountCharacters } from './limits.ts'
import { Callable, Dict, DictView, Markup, Namespace, Range, Tuple, Undefined, type Value, typeName } from './value.ts'

/** Python prints an int of at most so many digits. */
const MAX_DIGITS = 4300

const ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' }

/** Python's `str(value)`, which is what `{{ value }}` prints. */
export function toText(value: Value): string {
  if (typeof value === 'string') return value
  if (value instanceof Undefined) return ''
  if (value instanceof Markup) return value.text
  return repr(value)
}

/** Python's `repr(value)`. Throws for values whose print contains an address in memory. */
export function repr(value: Value): string {
  const text = reprOf(value)
  accountCharacters(text.length)
  return text
}

function reprOf(value: Value): string {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (typeof value === 'bigint') return intText(value)
  if (typeof value === 'number') return floatText(value)
  if (typeof value === 'string') return quote(value)
  if (value instanceof Tuple)
    return value.items.length === 1 ? `(${repr(value.items[0]!)},)` : `(${value.items.map(repr).join(', ')})`
  if (value instanceof Dict) return `{${value.entries.map(([k, v]) => `${repr(k)}: ${repr(v)}`).join(', ')}}`
  if (value instanceof DictView) return `${value.typeName}([${value.items.map(repr).join(', ')}])`
  if (value instanceof Range) return `range(${value.start}, ${value.stop}${value.step === 1n ? '' : `, ${value.step}`})`
  if (value instanceof Undefined) return 'Undefined'
  if (value instanceof Markup) return `Markup(${quote(value.text)})`
  if (value instanceof Namespace) return `<Namespace ${repr(Dict.of(value.fields))}>`
  if (value instanceof Callable && value.typeName === 'Macro') return `<Macro ${quote(value.name)}>`
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`
  throw new UnsupportedError(`the printing of a ${typeName(value)}`)
}

function intText(value: bigint): string {
  const text = String(value)
  if (text.length - (value < 0n ? 1 : 0) > MAX_DIGITS)
    throw new PythonError('ValueError', `Exceeds the limit (${MAX_DIGITS} digits) for integer string conversion`)
  return text
}

/** Python's repr of a float: shortest digits, an exponent from 1e16 on and below 1e-4. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (Object.is(value, -0)) return '-0.0'
  const [mantissa, power] = value.toExponential().split('e') as [string, string]
  const exponent = Number(power)
  if (value !== 0 && (exponent < -4 || exponent >= 16)) return `${mantissa}e${exponentText(exponent)}`
  const text = String(value)
  return text.includes('.') ? text : `${text}.0`
}

/** Python writes exponents with a sign and at least two digits. */
export function exponentText(exponent: number): string {
  return `${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
}

/** A text as Python quotes it: single quotes unless only these occur in it; what cannot be printed is escaped. */
export function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escaped = (c: string) => (c === mark ? `\\${c}` : (ESCAPES[c] ?? escapeUnprintable(c)))
  return `${mark}${text.replaceAll(/[\p{C}\p{Z}\\'"]/gu, escaped)}${mark}`
}

/** Unassigned, control, format, private characters, surrogates and white space but ' ' are not printable. */
function escapeUnprintable(c: string): string {
  if (c === ' ' || !/[\p{C}\p{Z}]/u.test(c)) return c
  const code = c.codePointAt(0)!
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`
  return code < 0x10000 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`
}
