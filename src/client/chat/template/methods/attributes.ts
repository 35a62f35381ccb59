import { UnsupportedError, typeError } from '../errors.ts'
import { repr } from '../values/print.ts'
import { codePoints, isPlain } from '../values/text.ts'
import { LoopContext } from '../values/loop-context.ts'
import { accountText } from '../values/limits.ts'
import { asNumber } from '../values/operators.ts'
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
} from '../values/value.ts'
import { formatBraces } from './brace-format.ts'
import { MUTATORS, dictMethod, sequenceMethod } from './collection-methods.ts'
import { stringMethod } from './string-methods.ts'

/** Attributes that Python gives the values of a class and that are not supported here. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  int: 'as_integer_ratio bit_count bit_length conjugate denominator from_bytes imag numerator real to_bytes',
  float: 'as_integer_ratio conjugate fromhex hex imag is_integer real',
  range: 'count index start step stop',
  dict_keys: 'isdisjoint mapping',
  dict_values: 'mapping',
  dict_items: 'isdisjoint mapping',
  generator: 'close send throw',
}

/** What Python finds at an attribute; undefined if there is none. */
type Found = Value | undefined

/** jinja2's `value.name`: an attribute, else an item, else undefined. Throws an UndefinedError on what is undefined. */
export function getAttribute(value: Value, name: string): Value {
  return orMissing(attribute(value, name), () => orMissing(item(value, name), () => missing(value, name)))
}

/** jinja2's `value[key]`: an item, else an attribute of that name, else undefined. */
export function getItem(value: Value, key: Value): Value {
  const named = () => (typeof key === 'string' ? attribute(value, key) : undefined)
  return orMissing(item(value, key), () => orMissing(named(), () => missing(value, key)))
}

/** What was found, which may be None, or what comes next. */
function orMissing(found: Found, next: () => Value): Value {
  return found === undefined ? next() : found
}

/** Python's `getattr(value, name)` within the sandbox; undefined if there is no such attribute. */
export function attribute(value: Value, name: string): Found {
  if (value instanceof Undefined && !(name.startsWith('__') && name.endsWith('__'))) throw value.error
  const found = rawAttribute(value, name)
  const hidden = isDunder(name) || (found !== undefined && name.startsWith('_')) || isMutator(value, name)
  return hidden
    ? new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`, 'SecurityError')
    : found
}

function rawAttribute(value: Value, name: string): Found {
  if (value instanceof Namespace) return value.fields.get(name)
  if (value instanceof LoopContext) return value.field(name)
  if (value instanceof Callable) return value.fields.get(name)
  if (value instanceof Tuple && value.names.includes(name)) return value.items[value.names.indexOf(name)]
  if (value instanceof Markup && stringMethod(value.text, name) !== undefined)
    throw new UnsupportedError(`the method ${name} of HTML`)
  const method = methodOf(value, name)
  if (method !== undefined) return new Callable(name, method)
  const kind = value instanceof Iterator ? 'generator' : typeName(value) === 'bool' ? 'int' : typeName(value)
  if (UNSUPPORTED[kind]?.split(' ').includes(name)) throw new UnsupportedError(`${kind}.${name}`)
  return undefined
}

function methodOf(value: Value, name: string): Callable['call'] | undefined {
  if (typeof value === 'string' && name === 'format')
    return (given) => accountText(formatBraces(value, given, { attribute: getAttribute, item: getItem }))
  if (typeof value === 'string') return stringMethod(value, name)
  if (value instanceof Dict) return dictMethod(value, name)
  if (Array.isArray(value) || value instanceof Tuple) return sequenceMethod(value as readonly Value[] | Tuple, name)
  return undefined
}

function isMutator(value: Value, name: string): boolean {
  if (Array.isArray(value)) return MUTATORS.list.has(name)
  return value instanceof Dict && MUTATORS.dict.has(name)
}

/** Attributes that objects of Python have, without the underscores around them. */
const DUNDERS = new Set(
  (
    'add call class closure code contains delattr dict dir doc eq format func ge getattribute getitem getstate ' +
    'globals gt hash init init_subclass iter le len lt module mul name ne new qualname reduce reduce_ex repr ' +
    'self setattr sizeof str subclasshook'
  ).split(' '),
)

function isDunder(name: string): boolean {
  return DUNDERS.has(/^__(\w+)__$/.exec(name)?.[1] ?? '')
}

/** Python's `value[key]`; undefined where it raises a LookupError or a TypeError. */
function item(value: Value, key: Value): Found {
  if (value instanceof Undefined) throw value.error
  if (value instanceof Dict) return hashable(key) ? value.get(key) : undefined
  const place = asNumber(key)
  if (typeof place !== 'bigint') return undefined
  const items = typeof value === 'string' && isPlain(value) ? value : sequenceOf(value)
  if (items === undefined) return undefined
  return items[Number(place < 0n ? place + BigInt(items.length) : place)]
}

function sequenceOf(value: Value): readonly Value[] | undefined {
  if (typeof value === 'string') return codePoints(value)
  if (value instanceof Markup) return codePoints(value.text).map((c) => new Markup(c))
  if (value instanceof Tuple || value instanceof Range) return value.items
  return Array.isArray(value) ? (value as readonly Value[]) : undefined
}

function hashable(key: Value): boolean {
  if (key instanceof Tuple) return key.items.every(hashable)
  return !(Array.isArray(key) || key instanceof Dict || key instanceof DictView)
}

function missing(value: Value, name: Value): Undefined {
  if (typeof name !== 'string') return new Undefined(`${typeName(value)} object has no element ${typeName(name)}`)
  return new Undefined(`'${typeName(value)} object' has no attribute ${repr(name)}`)
}

/** Calls a value. Throws a TypeError for what cannot be called. */
export function callValue(value: Value, args: readonly Value[], kwargs: ReadonlyMap<string, Value>): Value {
  if (value instanceof Callable) return value.call({ args, kwargs })
  if (value instanceof LoopContext) {
    if (args.length !== 1 || kwargs.size > 0) throw typeError('loop() takes one argument')
    return value.call(args[0]!)
  }
  if (value instanceof Undefined) throw value.error
  throw typeError(`'${typeName(value)}' object is not callable`)
}
