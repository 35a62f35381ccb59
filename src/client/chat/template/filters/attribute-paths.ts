import { splitText } from '../values/text.ts'
import { Undefined, type Value } from '../values/value.ts'
import { getItem } from '../methods/attributes.ts'

/** A value as sorting and grouping see it unless they mind the case. */
export function ignoreCase(value: Value): Value {
  return typeof value === 'string' ? value.toLowerCase() : value
}

/** Follows `a.b.0` into a value; null is the value itself. What is undefined on the way becomes `ifUndefined`. */
export function followPath(value: Value, path: Value, ifUndefined: Value = null): Value {
  let current = value
  for (const part of pathParts(path)) {
    current = getItem(current, part)
    if (ifUndefined !== null && current instanceof Undefined) current = ifUndefined
  }
  return current
}

/** The sort key of several paths with commas between. */
export function followPaths(value: Value, paths: Value, caseSensitive: boolean): Value[] {
  const each: readonly Value[] = typeof paths === 'string' ? splitText(paths, ',') : [paths]
  return each.map((path) => {
    const found = followPath(value, path)
    return caseSensitive ? found : ignoreCase(found)
  })
}

function pathParts(path: Value): readonly Value[] {
  if (path === null) return []
  if (typeof path !== 'string') return [path]
  return splitText(path, '.').map((part) => (/^\p{Nd}+$/u.test(part) ? BigInt(part) : part))
}
