import { typeError } from '../errors.ts'
import { codePoints, textLength } from './text.ts'
import { accountElements } from './limits.ts'
import { Dict, DictView, Iterator, Markup, Range, Tuple, Undefined, type Value, typeName } from './value.ts'

/** The elements of whatever can be iterated, a dict's keys; undefined for what cannot. An iterator's are used up. */
export function elementsOf(value: Value): Iterable<Value> | undefined {
  if (value instanceof Iterator) return value.source
  if (value instanceof Undefined) return []
  if (value instanceof Dict) return value.keys
  if (value instanceof Tuple || value instanceof DictView || value instanceof Range) return value.items
  if (value instanceof Markup) return codePoints(value.text)
  if (typeof value === 'string') return codePoints(value)
  return Array.isArray(value) ? (value as readonly Value[]) : undefined
}

/** The elements of a value. Throws a TypeError for what cannot be iterated. */
export function iterate(value: Value): Iterable<Value> {
  const elements = elementsOf(value)
  if (elements === undefined) throw typeError(`'${typeName(value)}' object is not iterable`)
  return elements
}

/** Python's `list(value)`. */
export function toList(value: Value): Value[] {
  const list: Value[] = []
  for (const element of iterate(value)) {
    accountElements(1)
    list.push(element)
  }
  return list
}

/** Python's `len(value)`; undefined for what has none. */
export function lengthOf(value: Value): number | undefined {
  if (typeof value === 'string') return textLength(value)
  if (value instanceof Markup) return textLength(value.text)
  if (value instanceof Dict) return value.size
  if (value instanceof DictView) return value.dict.size
  if (value instanceof Tuple) return value.items.length
  if (value instanceof Range) return Number(value.length)
  if (value instanceof Undefined) return 0
  return Array.isArray(value) ? value.length : undefined
}

/** Python's `bool(value)`. */
export function isTruthy(value: Value): boolean {
  if (value === null || typeof value === 'boolean') return value === true
  // eslint-disable-next-line eqeqeq -- an int or a float
  if (typeof value === 'bigint' || typeof value === 'number') return value != 0
  const length = lengthOf(value)
  return length === undefined || length > 0
}
