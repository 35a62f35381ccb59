import { PythonError } from '../errors.ts'
import { isTruthy, iterate } from '../values/iterate.ts'
import { type Arguments, Iterator, type Value } from '../values/value.ts'
import { followPath } from './attribute-paths.ts'
import type { Filter, Named } from './filter.ts'

/** Filters that apply others, or tests, to each element; as in Python, when the element is asked for. */
export const APPLYING_FILTERS: Readonly<Record<string, Filter>> = {
  map: (given, named) => new Iterator(mapped(given, named)),
  select: choosing(true, false),
  reject: choosing(false, false),
  selectattr: choosing(true, true),
  rejectattr: choosing(false, true),
}

function* mapped({ args: [value, name, ...args], kwargs }: Arguments, named: Named): Iterable<Value> {
  if (!isTruthy(value!)) return
  if (name === undefined && kwargs.has('attribute')) {
    const unknown = [...kwargs.keys()].find((key) => key !== 'attribute' && key !== 'default')
    if (unknown !== undefined) throw argumentError(`Unexpected keyword argument '${unknown}'`)
    const [path, ifUndefined] = [kwargs.get('attribute')!, kwargs.get('default') ?? null]
    for (const item of iterate(value!)) yield followPath(item, path, ifUndefined)
    return
  }
  if (name === undefined) throw argumentError('map requires a filter argument')
  for (const item of iterate(value!)) yield named.filter(nameOf(name), { args: [item, ...args], kwargs })
}

function choosing(kept: boolean, byAttribute: boolean): Filter {
  return ({ args: [value, ...rest], kwargs }, named) => new Iterator(chosen(value!, rest, kwargs, named))

  function* chosen(value: Value, rest: readonly Value[], kwargs: Arguments['kwargs'], named: Named): Iterable<Value> {
    if (!isTruthy(value)) return
    if (byAttribute && rest.length === 0) throw argumentError('Missing parameter for attribute name')
    const [test, ...args] = byAttribute ? rest.slice(1) : rest
    for (const item of iterate(value)) {
      const seen = byAttribute ? followPath(item, rest[0]!) : item
      const holds = test === undefined ? isTruthy(seen) : named.test(nameOf(test), { args: [seen, ...args], kwargs })
      if (holds === kept) yield item
    }
  }
}

function nameOf(name: Value): string {
  if (typeof name === 'string') return name
  throw argumentError('the name of a filter or test must be a str')
}

function argumentError(message: string): PythonError {
  return new PythonError('FilterArgumentError', message)
}
