import { PythonError, RefusalError, UnsupportedError, typeError } from './errors.ts'
import { strftime } from './strftime.ts'
import { asText } from './methods/string-methods.ts'
import { pyFunction } from './values/bind.ts'
import { iterate, toList } from './values/iterate.ts'
import { asInt } from './values/operators.ts'
import { toText } from './values/print.ts'
import { type Arguments, Callable, Dict, Namespace, Range, type Value } from './values/value.ts'

/** jinja2's sandbox allows ranges of at most so many numbers. */
const MAX_RANGE = 100_000n

/** The functions that every template knows, by name. */
export const GLOBALS: ReadonlyMap<string, Value> = new Map<string, Value>(
  [
    new Callable('range', range),
    new Callable('dict', (given) => Dict.of(entriesOf(given, 'dict'))),
    new Callable('namespace', namespace),
    pyFunction('joiner', [['sep', ', ']], joiner),
    pyFunction('raise_exception', [['message']], (message) => {
      throw new RefusalError(toText(message!))
    }),
    pyFunction('strftime_now', [['format']], (format) => strftime(asText(format!, 'strftime_now'), new Date())),
    ...['cycler', 'lipsum'].map(
      (name) =>
        new Callable(name, () => {
          throw new UnsupportedError(`the function ${name}`)
        }),
    ),
  ].map((callable) => [callable.name, callable]),
)

function range({ args, kwargs }: Arguments): Value {
  if (kwargs.size > 0) throw typeError('range() takes no keyword arguments')
  if (args.length < 1 || args.length > 3) throw typeError('range expected 1 to 3 arguments')
  const [first, second, step = 1n] = args.map((arg) => asInt(arg, 'range()'))
  if (step === 0n) throw new PythonError('ValueError', 'range() arg 3 must not be zero')
  const made = second === undefined ? new Range(0n, first!, 1n) : new Range(first!, second, step)
  if (made.length > MAX_RANGE)
    throw new PythonError(
      'OverflowError',
      `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MAX_RANGE}).`,
    )
  return made
}

/** The entries of `dict(...)`: of a mapping or of pairs, and of the named arguments. */
function entriesOf({ args, kwargs }: Arguments, name: string): (readonly [Value, Value])[] {
  if (args.length > 1) throw typeError(`${name} expected at most 1 argument, got ${args.length}`)
  const [from] = args
  return [...(from === undefined ? [] : from instanceof Dict ? from.entries : pairs(from)), ...kwargs]
}

function pairs(value: Value): [Value, Value][] {
  return toList(value).map((pair) => {
    const [key, item, ...rest] = [...iterate(pair)]
    if (item === undefined || rest.length > 0)
      throw new PythonError('ValueError', 'dictionary update sequence element: a pair is expected')
    return [key!, item]
  })
}

function namespace(given: Arguments): Namespace {
  const fields = entriesOf(given, 'namespace').map(([key, value]): [string, Value] => {
    if (typeof key !== 'string') throw new UnsupportedError('a namespace with keys that are no texts')
    return [key, value]
  })
  return new Namespace(new Map(fields))
}

/** Prints nothing when it is called first, and its separator from then on. */
function joiner(separator?: Value): Callable {
  let used = false
  return pyFunction('joiner', [], () => {
    if (used) return separator!
    used = true
    return ''
  })
}
