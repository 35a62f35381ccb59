import { PythonError, typeError } from '../errors.ts'

/**
 * A value of Python as a template sees it. An int is a bigint, a float a number, a str a string (whose length and
 * places count code points), a list an array; all else is an object of one of the classes below.
 */
export type Value = null | boolean | bigint | number | string | readonly Value[] | PyObject

/** What is neither a number, nor a text, nor a list. */
export abstract class PyObject {
  /** The name of its class in Python, for messages. */
  abstract readonly typeName: string
}

/** A tuple; `names` are its fields, if it is a named one. */
export class Tuple extends PyObject {
  readonly typeName = 'tuple'
  readonly items: readonly Value[]
  readonly names: readonly string[]

  constructor(items: readonly Value[], names: readonly string[] = []) {
    super()
    this.items = items
    this.names = names
  }
}

/** A dict. Keys that are equal in Python (1, 1.0, True) are one. */
export class Dict extends PyObject {
  readonly typeName = 'dict'
  readonly #entries = new Map<string, [Value, Value]>()

  /** From keys and values in order; a later value replaces an earlier one of the same key. */
  static of(entries: Iterable<readonly [Value, Value]>): Dict {
    const dict = new Dict()
    for (const [key, value] of entries) dict.set(key, value)
    return dict
  }

  get size(): number {
    return this.#entries.size
  }

  get entries(): readonly (readonly [Value, Value])[] {
    return [...this.#entries.values()]
  }

  get keys(): readonly Value[] {
    return this.entries.map(([key]) => key)
  }

  /** The value of a key; undefined if there is none. Throws for keys that cannot be hashed. */
  get(key: Value): Value | undefined {
    return this.#entries.get(hashKey(key))?.[1]
  }

  has(key: Value): boolean {
    return this.#entries.has(hashKey(key))
  }

  /** Only for whoever makes the dict: templates may not change values. */
  set(key: Value, value: Value): void {
    const hash = hashKey(key)
    this.#entries.set(hash, [this.#entries.get(hash)?.[0] ?? key, value])
  }
}

/** What `dict.keys()`, `.values()` and `.items()` return. */
export class DictView extends PyObject {
  readonly typeName: 'dict_keys' | 'dict_values' | 'dict_items'
  readonly dict: Dict

  constructor(typeName: DictView['typeName'], dict: Dict) {
    super()
    this.typeName = typeName
    this.dict = dict
  }

  get items(): Value[] {
    const { entries } = this.dict
    if (this.typeName === 'dict_items') return entries.map((entry) => new Tuple([...entry]))
    return entries.map(([key, value]) => (this.typeName === 'dict_keys' ? key : value))
  }
}

/** Python's range: numbers that are made when they are asked for. */
export class Range extends PyObject {
  readonly typeName = 'range'
  readonly start: bigint
  readonly stop: bigint
  readonly step: bigint

  constructor(start: bigint, stop: bigint, step: bigint) {
    super()
    this.start = start
    this.stop = stop
    this.step = step
  }

  get length(): bigint {
    const span = this.step > 0n ? this.stop - this.start : this.start - this.stop
    const stride = this.step > 0n ? this.step : -this.step
    return span <= 0n ? 0n : (span + stride - 1n) / stride
  }

  get items(): bigint[] {
    return Array.from({ length: Number(this.length) }, (_, i) => this.start + BigInt(i) * this.step)
  }
}

/** A generator or another iterator: its elements can be had once. */
export class Iterator extends PyObject {
  readonly typeName: string
  readonly source: IterableIterator<Value>

  constructor(source: Iterable<Value>, typeName = 'generator') {
    super()
    this.typeName = typeName
    const inner = source[Symbol.iterator]()
    // A loop that is left early must not end it, as JavaScript would do.
    this.source = { next: () => inner.next(), [Symbol.iterator]: () => this.source }
  }
}

/** jinja2's `namespace()`: the only value whose fields a template may set. */
export class Namespace extends PyObject {
  readonly typeName = 'Namespace'
  readonly fields: Map<string, Value>

  constructor(fields: Map<string, Value>) {
    super()
    this.fields = fields
  }
}

/** The arguments of a call. */
export interface Arguments {
  readonly args: readonly Value[]
  readonly kwargs: ReadonlyMap<string, Value>
}

/** What a template can call: a function, a method of a value, a macro. */
export class Callable extends PyObject {
  readonly typeName: string
  readonly name: string
  readonly call: (given: Arguments) => Value
  /** Fields that a template may read. */
  readonly fields: ReadonlyMap<string, Value>

  constructor(
    name: string,
    call: (given: Arguments) => Value,
    typeName = 'builtin_function_or_method',
    fields: ReadonlyMap<string, Value> = new Map(),
  ) {
    super()
    this.name = name
    this.call = call
    this.typeName = typeName
    this.fields = fields
  }
}

/** Text that `safe` or `escape` has marked as HTML; it is printed as it is. */
export class Markup extends PyObject {
  readonly typeName = 'Markup'
  readonly text: string

  constructor(text: string) {
    super()
    this.text = text
  }
}

/** jinja2's undefined value: prints nothing, is empty and false; whatever else is done with it is an error. */
export class Undefined extends PyObject {
  readonly typeName = 'Undefined'
  readonly reason: string
  readonly #errorType: string

  constructor(reason: string, errorType = 'UndefinedError') {
    super()
    this.reason = reason
    this.#errorType = errorType
  }

  /** The error of using it. */
  get error(): PythonError {
    return new PythonError(this.#errorType, this.reason)
  }
}

/** The name of a value's class in Python. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType'
  if (value instanceof PyObject) return value.typeName
  if (Array.isArray(value)) return 'list'
  return { boolean: 'bool', bigint: 'int', number: 'float' }[typeof value as string] ?? 'str'
}

/** A value of JSON, or of whoever renders, as a value of Python. */
export function toValue(json: unknown): Value {
  if (json === null || json === undefined) return null
  if (typeof json === 'number') return Number.isSafeInteger(json) ? BigInt(json) : json
  if (Array.isArray(json)) return json.map(toValue)
  if (typeof json === 'object') return Dict.of(Object.entries(json).map(([key, value]) => [key, toValue(value)]))
  return json as boolean | string | bigint
}

/** A text that is the same for keys that are equal in Python. */
function hashKey(key: Value): string {
  if (typeof key === 'string') return `s${key}`
  if (typeof key === 'boolean') return key ? 'n1' : 'n0'
  if (typeof key === 'bigint') return `n${key}`
  if (typeof key === 'number') return Number.isInteger(key) ? `n${BigInt(key)}` : `n${key}`
  if (key === null) return 'none'
  if (key instanceof Tuple)
    return `(${key.items.map((item) => hashKey(item).replaceAll(/[,()\\]/g, '\\$&')).join(',')})`
  if (key instanceof Undefined) return 'undefined'
  throw typeError(`unhashable type: '${typeName(key)}'`)
}
