import { PythonError, UnsupportedError } from '../errors.ts'
import { type Parameter, bind } from '../values/bind.ts'
import { isEqual } from '../values/operators.ts'
import { repr } from '../values/print.ts'
import { type Arguments, Dict, DictView, Tuple, type Value } from '../values/value.ts'

type Bound = (given: Arguments) => Value

/** Methods that change a value; jinja2's sandbox does not let a template have them. */
export const MUTATORS: Readonly<Record<'list' | 'dict', ReadonlySet<string>>> = {
  list: new Set(['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove']),
  dict: new Set(['clear', 'pop', 'popitem', 'setdefault', 'update']),
}

/** The method of a dict; undefined if there is none of the name. */
export function dictMethod(dict: Dict, name: string): Bound | undefined {
  const method =
    (parameters: readonly Parameter[], run: (...values: Value[]) => Value): Bound =>
    (given) =>
      run(...bind(name, parameters, given))
  switch (name) {
    case 'get':
      return method([['key'], ['default', null]], (key, ifAbsent) => (dict.has(key!) ? dict.get(key!)! : ifAbsent!))
    case 'keys':
    case 'values':
    case 'items':
      return method([], () => new DictView(`dict_${name}`, dict))
    case 'copy':
      return method([], () => Dict.of(dict.entries))
    case 'fromkeys':
      throw new UnsupportedError('dict.fromkeys')
    default:
      return undefined
  }
}

/** The method of a list or a tuple; undefined if there is none of the name. */
export function sequenceMethod(value: readonly Value[] | Tuple, name: string): Bound | undefined {
  const items = value instanceof Tuple ? value.items : value
  const found = (wanted: Value) => items.findIndex((item) => isEqual(item, wanted))
  if (name === 'count')
    return (given) => {
      const [wanted] = bind(name, [['value']], given)
      return BigInt(items.filter((item) => isEqual(item, wanted!)).length)
    }
  if (name === 'index')
    return (given) => {
      if (given.args.length > 1) throw new UnsupportedError('index() with a start')
      const [wanted] = bind(name, [['value']], given)
      const at = found(wanted!)
      if (at < 0) throw new PythonError('ValueError', `${repr(wanted!)} is not in list`)
      return BigInt(at)
    }
  return name === 'copy' && !(value instanceof Tuple) ? () => [...items] : undefined
}
