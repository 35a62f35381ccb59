import { PythonError, typeError } from '../errors.ts'
import { attribute } from '../methods/attributes.ts'
import { slice } from '../methods/slices.ts'
import { isTruthy, iterate, lengthOf, toList } from '../values/iterate.ts'
import { accountCharacters, accountElements, accountText } from '../values/limits.ts'
import { asInt, compare, isEqual, operate } from '../values/operators.ts'
import { toText } from '../values/print.ts'
import { Dict, DictView, Iterator, Range, Tuple, Undefined, type Value, typeName } from '../values/value.ts'
import { followPath, followPaths, ignoreCase } from './attribute-paths.ts'
import { type Filter, filter } from './filter.ts'

const SORTING = [
  ['reverse', false],
  ['case_sensitive', false],
  ['attribute', null],
] as const

const EXTREME = [
  ['case_sensitive', false],
  ['attribute', null],
] as const

/** Filters of what can be iterated. */
export const SEQUENCE_FILTERS: Readonly<Record<string, Filter>> = {
  length: filter('length', [], (value) => length(value!)),
  list: filter('list', [], (value) => toList(value!)),
  first: filter('first', [], (value) => {
    const first = iterate(value!)[Symbol.iterator]().next().value as Value | undefined
    return orUndefined(first, 'No first item, sequence was empty.')
  }),
  last: filter('last', [], (value) => orUndefined(reversed(value!)[0], 'No last item, sequence was empty.')),
  reverse: filter('reverse', [], reverse),
  join: filter(
    'join',
    [
      ['d', ''],
      ['attribute', null],
    ],
    (value, mark, path) => {
      const items = toList(value!).map((item) => toText(path === null ? item : followPath(item, path!)))
      accountCharacters(items.length * toText(mark!).length)
      return accountText(items.join(toText(mark!)))
    },
  ),
  items: filter('items', [], (value) => {
    if (value instanceof Undefined) return new Iterator([])
    if (!(value instanceof Dict)) throw typeError('Can only get item pairs from a mapping.')
    return new Iterator(new DictView('dict_items', value).items)
  }),
  sort: filter('sort', SORTING, (value, backwards, cased, path) =>
    sorted(toList(value!), (item) => followPaths(item, path!, isTruthy(cased!)), isTruthy(backwards!)),
  ),
  dictsort: filter(
    'dictsort',
    [
      ['case_sensitive', false],
      ['by', 'key'],
      ['reverse', false],
    ],
    dictsort,
  ),
  unique: filter('unique', EXTREME, (value, cased, path) => new Iterator(unique(value!, isTruthy(cased!), path!))),
  min: filter('min', EXTREME, (value, cased, path) => extreme('<', value!, isTruthy(cased!), path!)),
  max: filter('max', EXTREME, (value, cased, path) => extreme('>', value!, isTruthy(cased!), path!)),
  sum: filter(
    'sum',
    [
      ['attribute', null],
      ['start', 0n],
    ],
    (value, path, start) => {
      if (typeof start === 'string') throw typeError("sum() can't sum strings [use ''.join(seq) instead]")
      return toList(value!).reduce(
        (sum, item) => operate('+', sum, path === null ? item : followPath(item, path!)),
        start!,
      )
    },
  ),
  groupby: filter('groupby', [['attribute'], ['default', null], ['case_sensitive', false]], groupby),
  batch: filter(
    'batch',
    [['linecount'], ['fill_with', null]],
    (value, count, fill) => new Iterator(batches(toList(value!), Number(asInt(count!, 'batch')), fill!)),
  ),
  slice: filter(
    'slice',
    [['slices'], ['fill_with', null]],
    (value, count, fill) => new Iterator(slices(toList(value!), Number(asInt(count!, 'slice')), fill!)),
  ),
  attr: filter('attr', [['name']], (value, name) => {
    if (typeof name !== 'string') throw typeError('attribute name must be string')
    return orUndefined(attribute(value!, name), `'${typeName(value!)} object' has no attribute '${name}'`)
  }),
  default: filter(
    'default',
    [
      ['default_value', ''],
      ['boolean', false],
    ],
    (value, ifNone, boolean) =>
      value instanceof Undefined || (isTruthy(boolean!) && !isTruthy(value!)) ? ifNone! : value!,
  ),
}

/** A value that there may not be; None is one. */
function orUndefined(value: Value | undefined, reason: string): Value {
  return value === undefined ? new Undefined(reason) : value
}

function length(value: Value): bigint {
  const count = lengthOf(value)
  if (count === undefined) throw typeError(`object of type '${typeName(value)}' has no len()`)
  return BigInt(count)
}

/** The elements from last to first. Throws for what can only be read forwards. */
function reversed(value: Value): Value[] {
  if (value instanceof Iterator || lengthOf(value) === undefined)
    throw typeError(`'${typeName(value)}' object is not reversible`)
  return toList(value).toReversed()
}

function reverse(value?: Value): Value {
  if (typeof value === 'string') return slice(value, null, null, -1n)
  if (value instanceof Iterator) return toList(value).toReversed()
  if (lengthOf(value!) === undefined) throw new PythonError('FilterArgumentError', 'argument must be iterable')
  return new Iterator(reversed(value!), value instanceof Range ? 'range_iterator' : 'reverse_iterator')
}

/** Python's `sorted`: stable, and only by '<'. */
function sorted(items: readonly Value[], key: (item: Value) => Value, backwards = false): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }))
  const less = (a: Value, b: Value) => (backwards ? compare('<', b, a) : compare('<', a, b))
  keyed.sort((a, b) => (less(a.key, b.key) ? -1 : less(b.key, a.key) ? 1 : 0))
  return keyed.map(({ item }) => item)
}

function dictsort(...[value, cased, by, backwards]: Value[]): Value {
  if (by !== 'key' && by !== 'value')
    throw new PythonError('FilterArgumentError', 'You can only sort by either "key" or "value"')
  if (value instanceof Undefined) throw value.error
  if (!(value instanceof Dict))
    throw new PythonError('AttributeError', `'${typeName(value!)}' object has no attribute 'items'`)
  const place = by === 'key' ? 0 : 1
  const key = (pair: Value) => {
    const side = (pair as Tuple).items[place]!
    return isTruthy(cased!) ? side : ignoreCase(side)
  }
  return sorted(new DictView('dict_items', value).items, key, isTruthy(backwards!))
}

function* unique(value: Value, caseSensitive: boolean, path: Value): Iterable<Value> {
  const seen = new Dict()
  for (const item of iterate(value)) {
    const found = followPath(item, path)
    const key = caseSensitive ? found : ignoreCase(found)
    if (seen.has(key)) continue
    seen.set(key, true)
    yield item
  }
}

function extreme(better: '<' | '>', value: Value, caseSensitive: boolean, path: Value): Value {
  let best: { item: Value; key: Value } | undefined
  for (const item of toList(value)) {
    const found = followPath(item, path)
    const key = caseSensitive ? found : ignoreCase(found)
    if (best === undefined || compare(better, key, best.key)) best = { item, key }
  }
  return orUndefined(best?.item, 'No aggregated item, sequence was empty.')
}

function groupby(...[value, path, ifUndefined, cased]: Value[]): Value {
  const raw = (item: Value) => followPath(item, path!, ifUndefined!)
  const key = (item: Value) => (isTruthy(cased!) ? raw(item) : ignoreCase(raw(item)))
  const groups: { key: Value; items: Value[] }[] = []
  for (const item of sorted(toList(value!), key)) {
    const last = groups.at(-1)
    if (last !== undefined && isEqual(last.key, key(item))) last.items.push(item)
    else groups.push({ key: key(item), items: [item] })
  }
  return groups.map(({ items }) => new Tuple([raw(items[0]!), items], ['grouper', 'list']))
}

function* batches(items: readonly Value[], count: number, fill: Value): Iterable<Value> {
  let batch: Value[] = []
  for (const item of items) {
    if (batch.length === count) {
      yield batch
      batch = []
    }
    batch.push(item)
  }
  if (batch.length === 0) return
  const missing = fill === null ? 0 : Math.max(count - batch.length, 0)
  accountElements(missing)
  yield [...batch, ...Array.from({ length: missing }, () => fill)]
}

function* slices(items: readonly Value[], count: number, fill: Value): Iterable<Value> {
  if (count === 0) throw new PythonError('ZeroDivisionError', 'integer division or modulo by zero')
  accountElements(Math.max(count, 0))
  const each = Math.floor(items.length / count)
  const withExtra = items.length - each * count
  for (let i = 0, start = 0; i < count; i++) {
    const end = start + each + (i < withExtra ? 1 : 0)
    accountElements(1 + end - start)
    yield fill !== null && i >= withExtra ? [...items.slice(start, end), fill] : items.slice(start, end)
    start = end
  }
}
