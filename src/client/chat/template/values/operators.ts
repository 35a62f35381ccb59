import { PythonError, UnsupportedError, typeError } from '../errors.ts'
import { iterate } from './iterate.ts'
import { accountCharacters, accountElements, accountText, boundedInt, boundedPower } from './limits.ts'
import { formatPercent } from './percent-format.ts'
import { compareTexts } from './text.ts'
import { escapeHtml } from './html.ts'
import { toText } from './print.ts'
import {
  Callable,
  Dict,
  DictView,
  Iterator,
  Markup,
  Namespace,
  Range,
  Tuple,
  Undefined,
  type Value,
  typeName,
} from './value.ts'

/** The operators that make a value of two. */
export type Operator = '+' | '-' | '*' | '/' | '//' | '%' | '**'

/** The comparisons. */
export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in'

const MAX_EXACT = 2n ** 53n

/** An int or float of a value; undefined for what is no number. Booleans are 0 and 1. */
export function asNumber(value: Value): bigint | number | undefined {
  if (typeof value === 'boolean') return value ? 1n : 0n
  return typeof value === 'bigint' || typeof value === 'number' ? value : undefined
}

/** A value that must be an int. Throws a TypeError naming `what` otherwise. */
export function asInt(value: Value, what: string): bigint {
  const number = asNumber(value)
  if (typeof number === 'bigint') return number
  throw value instanceof Undefined ? value.error : typeError(`${what}: an int is expected, not '${typeName(value)}'`)
}

/** `left operator right` as Python computes it. */
export function operate(operator: Operator, left: Value, right: Value): Value {
  for (const value of [left, right])
    if (value instanceof Undefined && !(operator === '%' && typeof left === 'string')) throw value.error
  const [a, b] = [asNumber(left), asNumber(right)]
  if (a !== undefined && b !== undefined) return arithmetic(operator, a, b)
  const result = ofSequences(operator, left, right)
  if (result !== undefined) return result
  const shown = operator === '**' ? '** or pow()' : operator
  throw typeError(`unsupported operand type(s) for ${shown}: '${typeName(left)}' and '${typeName(right)}'`)
}

/** `+value` or `-value`. */
export function sign(operator: '+' | '-', value: Value): Value {
  const number = asNumber(value)
  if (number !== undefined) return operator === '+' ? number : -number
  if (value instanceof Undefined) throw value.error
  throw typeError(`bad operand type for unary ${operator}: '${typeName(value)}'`)
}

function arithmetic(operator: Operator, a: bigint | number, b: bigint | number): Value {
  if ('/%'.includes(operator[0]!) && Number(b) === 0 && b == 0)
    throw new PythonError('ZeroDivisionError', 'division by zero')
  if (typeof a === 'bigint' && typeof b === 'bigint') return ofInts(operator, a, b)
  return ofFloats(operator, toFloat(a), toFloat(b))
}

/** A number as a float. Throws an OverflowError for ints beyond all floats. */
export function toFloat(value: bigint | number): number {
  const float = Number(value)
  if (typeof value === 'bigint' && !Number.isFinite(float))
    throw new PythonError('OverflowError', 'int too large to convert to float')
  return float
}

function ofInts(operator: Operator, a: bigint, b: bigint): Value {
  switch (operator) {
    case '+':
      return boundedInt(a + b)
    case '-':
      return boundedInt(a - b)
    case '*':
      return boundedInt(a * b)
    case '/':
      if ([a, b].some((n) => n > MAX_EXACT || n < -MAX_EXACT))
        throw new UnsupportedError('the division of ints over 2**53')
      return Number(a) / Number(b)
    case '//':
      return (a - floorMod(a, b)) / b
    case '%':
      return floorMod(a, b)
    case '**':
      return b >= 0n ? boundedPower(a, b) : ofFloats('**', toFloat(a), toFloat(b))
  }
}

/** The remainder with the divisor's sign. */
function floorMod(a: bigint, b: bigint): bigint {
  const rest = a % b
  return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest
}

function ofFloats(operator: Operator, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    case '%':
      return floatMod(a, b)
    case '//':
      return floatFloorDiv(a, b)
    case '**':
      return floatPower(a, b)
  }
}

function floatMod(a: number, b: number): number {
  const rest = a % b
  if (rest === 0) return b < 0 ? -0 : 0
  return rest < 0 !== b < 0 ? rest + b : rest
}

/** CPython's float floor division: from the remainder, so that no rounding lifts the quotient over an integer. */
function floatFloorDiv(a: number, b: number): number {
  const quotient = (a - floatMod(a, b)) / b
  if (quotient === 0) return a / b < 0 ? -0 : 0
  const floor = Math.floor(quotient)
  return quotient - floor > 0.5 ? floor + 1 : floor
}

function floatPower(a: number, b: number): number {
  if (a === 0 && b < 0) throw new PythonError('ZeroDivisionError', '0.0 cannot be raised to a negative power')
  if (a < 0 && Number.isFinite(b) && !Number.isInteger(b)) throw new UnsupportedError('complex numbers')
  if (a === 1) return 1
  const power = a ** b
  if (!Number.isFinite(power) && Number.isFinite(a) && Number.isFinite(b))
    throw new PythonError('OverflowError', 'Result too large')
  return power
}

/** Concatenation, repetition and formatting; undefined where Python knows no such operation. */
function ofSequences(operator: Operator, left: Value, right: Value): Value | undefined {
  if (operator === '+') return concatenate(left, right)
  if (operator === '%') {
    if (typeof left === 'string') return accountText(formatPercent(left, right))
    if (left instanceof Markup) throw new UnsupportedError('the formatting of HTML')
  }
  if (operator === '*') {
    const count = asNumber(right)
    if (typeof count === 'bigint') return repeat(left, count)
    const first = asNumber(left)
    if (typeof first === 'bigint') return repeat(right, first)
  }
  if (left instanceof DictView || right instanceof DictView) throw new UnsupportedError(`${operator} of dict views`)
  return undefined
}

function concatenate(left: Value, right: Value): Value | undefined {
  if (typeof left === 'string' && typeof right === 'string') return accountText(left + right)
  if (left instanceof Markup || right instanceof Markup) {
    if (![left, right].every((side) => typeof side === 'string' || side instanceof Markup)) return undefined
    return new Markup(accountText([left, right].map(escapeHtml).join('')))
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    accountElements(left.length + right.length)
    return [...left, ...right]
  }
  if (!(left instanceof Tuple && right instanceof Tuple)) return undefined
  accountElements(left.items.length + right.items.length)
  return new Tuple([...left.items, ...right.items])
}

function repeat(value: Value, count: bigint): Value | undefined {
  const times = count < 0n ? 0 : Number(count)
  if (typeof value === 'string' || value instanceof Markup) {
    const text = toText(value)
    accountCharacters(text.length * times)
    return value instanceof Markup ? new Markup(text.repeat(times)) : text.repeat(text === '' ? 0 : times)
  }
  const items = value instanceof Tuple ? value.items : Array.isArray(value) ? (value as Value[]) : undefined
  if (items === undefined) return undefined
  accountElements(items.length * times)
  const repeated = Array.from({ length: items.length * times }, (_, i) => items[i % items.length]!)
  return value instanceof Tuple ? new Tuple(repeated) : repeated
}

/** `left comparison right`. Throws where Python does: for an order between values of different kinds. */
export function compare(comparison: Comparison, left: Value, right: Value): boolean {
  switch (comparison) {
    case '==':
      return isEqual(left, right)
    case '!=':
      return !isEqual(left, right)
    case 'in':
      return contains(right, left)
    case 'not in':
      return !contains(right, left)
    default:
      return inOrder(comparison, left, right)
  }
}

/** Python's `==`. */
export function isEqual(a: Value, b: Value): boolean {
  const [x, y] = [asNumber(a), asNumber(b)]
  if (x !== undefined || y !== undefined) return x == y
  if (a === b) return true
  if ((typeof a === 'string' || a instanceof Markup) && (typeof b === 'string' || b instanceof Markup))
    return toText(a) === toText(b)
  if (a instanceof Undefined) return b instanceof Undefined
  if (Array.isArray(a)) return Array.isArray(b) && sameItems(a, b)
  if (a instanceof Tuple) return b instanceof Tuple && sameItems(a.items, b.items)
  if (a instanceof Range) return b instanceof Range && sameItems(a.items, b.items)
  if (a instanceof DictView && b instanceof DictView) throw new UnsupportedError('the comparison of dict views')
  if (a instanceof Dict && b instanceof Dict)
    return a.size === b.size && a.entries.every(([key, value]) => b.has(key) && isEqual(value, b.get(key)!))
  return false
}

function sameItems(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((item, i) => isEqual(item, b[i]!))
}

function inOrder(comparison: '<' | '<=' | '>' | '>=', left: Value, right: Value): boolean {
  const [a, b] = [asNumber(left), asNumber(right)]
  if (a !== undefined && b !== undefined) return ordered(comparison, a < b, a > b, a == b)
  const order = orderOf(left, right)
  if (order !== undefined) return ordered(comparison, order < 0, order > 0, order === 0)
  if (left instanceof Undefined) throw left.error
  if (right instanceof Undefined) throw right.error
  if (left instanceof DictView && right instanceof DictView) throw new UnsupportedError('the order of dict views')
  throw typeError(`'${comparison}' not supported between instances of '${typeName(left)}' and '${typeName(right)}'`)
}

function ordered(comparison: '<' | '<=' | '>' | '>=', less: boolean, more: boolean, same: boolean): boolean {
  return (comparison.startsWith('<') ? less : more) || (comparison.endsWith('=') && same)
}

/** Below, at or above 0 as Python orders texts, lists and tuples; undefined for values without an order. */
function orderOf(left: Value, right: Value): number | undefined {
  if ([left, right].every((side) => typeof side === 'string' || side instanceof Markup))
    return compareTexts(toText(left), toText(right))
  const [a, b] = Array.isArray(left) && Array.isArray(right) ? [left, right] : itemsOfTuples(left, right)
  if (a === undefined || b === undefined) return undefined
  const i = (a as Value[]).findIndex((item, place) => place >= b.length || !isEqual(item, b[place]!))
  if (i < 0) return a.length - b.length
  if (i >= b.length) return 1
  return inOrder('<', a[i]!, b[i]!) ? -1 : 1
}

function itemsOfTuples(a: Value, b: Value): [readonly Value[], readonly Value[]] | [undefined, undefined] {
  return a instanceof Tuple && b instanceof Tuple ? [a.items, b.items] : [undefined, undefined]
}

/** Python's `item in container`. */
export function contains(container: Value, item: Value): boolean {
  if (typeof container === 'string' || container instanceof Markup) {
    if (typeof item === 'string' || item instanceof Markup) return toText(container).includes(toText(item))
    throw typeError(`'in <string>' requires string as left operand, not ${typeName(item)}`)
  }
  if (container instanceof Dict) return container.has(item)
  if (container instanceof DictView && container.typeName === 'dict_keys') return container.dict.has(item)
  if (container instanceof Namespace || container instanceof Callable)
    throw typeError(`argument of type '${typeName(container)}' is not iterable`)
  for (const element of container instanceof Iterator ? container.source : iterate(container))
    if (isEqual(element, item)) return true
  return false
}
