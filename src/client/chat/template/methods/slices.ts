import { PythonError, typeError } from '../errors.ts'
import { accountElements, accountText } from '../values/limits.ts'
import { asInt } from '../values/operators.ts'
import { codePoints, isPlain } from '../values/text.ts'
import { Markup, Range, Tuple, Undefined, type Value, typeName } from '../values/value.ts'

/** The places that `[start:end]` means in a sequence, cut to it, for a step of 1. */
export function sliceBounds(length: number, start: Value, end: Value): { from: number; to: number } {
  const at = (value: Value, ifNone: number) =>
    value === null ? ifNone : clamp(asInt(value, 'slice'), length, 0, length)
  return { from: at(start, 0), to: at(end, length) }
}

/** Python's `value[start:stop:step]`. */
export function slice(value: Value, start: Value, stop: Value, step: Value): Value {
  if (typeof value === 'string' && isPlain(value) && (step === null || step === 1n)) {
    const { from, to } = sliceBounds(value.length, start, stop)
    return accountText(value.slice(from, Math.max(from, to)))
  }
  if (typeof value === 'string') return pick(codePoints(value), start, stop, step).join('')
  if (value instanceof Markup) return new Markup(pick(codePoints(value.text), start, stop, step).join(''))
  if (Array.isArray(value)) return pick(value as readonly Value[], start, stop, step)
  if (value instanceof Tuple) return new Tuple(pick(value.items, start, stop, step))
  if (value instanceof Range) return sliceRange(value, start, stop, step)
  if (value instanceof Undefined) throw value.error
  throw typeError(`'${typeName(value)}' object is not subscriptable by a slice`)
}

function sliceRange(range: Range, start: Value, stop: Value, step: Value): Range {
  const { from, to, by } = places(Number(range.length), start, stop, step)
  const at = (place: number) => range.start + BigInt(place) * range.step
  return new Range(at(from), at(to), range.step * BigInt(by))
}

function pick<T>(items: readonly T[], start: Value, stop: Value, step: Value): T[] {
  const { from, to, by } = places(items.length, start, stop, step)
  const picked: T[] = []
  for (let i = from; by > 0 ? i < to : i > to; i += by) picked.push(items[i]!)
  accountElements(picked.length)
  return picked
}

function places(length: number, start: Value, stop: Value, step: Value): { from: number; to: number; by: number } {
  const by = step === null ? 1 : Number(asInt(step, 'slice'))
  if (by === 0) throw new PythonError('ValueError', 'slice step cannot be zero')
  const [low, high] = by > 0 ? [0, length] : [-1, length - 1]
  const at = (value: Value, ifNone: number) =>
    value === null ? ifNone : clamp(asInt(value, 'slice'), length, low, high)
  return { from: at(start, by > 0 ? low : high), to: at(stop, by > 0 ? high : low), by }
}

function clamp(value: bigint, length: number, low: number, high: number): number {
  const place = value < 0n ? value + BigInt(length) : value
  return place < BigInt(low) ? low : place > BigInt(high) ? high : Number(place)
}
