import { typeError } from '../errors.ts'
import { isEqual } from './operators.ts'
import { lengthOf, toList, iterate } from './iterate.ts'
import { Callable, Iterator, PyObject, Tuple, Undefined, type Value } from './value.ts'

/** The variable `loop` within `{% for %}`. It looks no further ahead than a template asks it to, as jinja2's does. */
export class LoopContext extends PyObject {
  readonly typeName = 'LoopContext'
  readonly #iterable: Value
  readonly #depth0: bigint
  readonly #recurse: ((iterable: Value, depth0: bigint) => string) | undefined
  #source: IterableIterator<Value>
  #index0 = -1
  #length: number | undefined
  #before: Value | undefined
  #current: Value | undefined
  #after: Value | undefined
  #changed: Tuple | undefined

  constructor(iterable: Value, depth0: bigint, recurse: ((iterable: Value, depth0: bigint) => string) | undefined) {
    super()
    this.#iterable = iterable
    this.#depth0 = depth0
    this.#recurse = recurse
    this.#source = iterate(iterable)[Symbol.iterator]() as IterableIterator<Value>
  }

  /** The next element, which becomes the current one; undefined at the end. */
  next(): Value | undefined {
    const value = this.#peek()
    this.#after = undefined
    if (value === undefined) return undefined
    this.#index0++
    this.#before = this.#current
    this.#current = value
    return value
  }

  /** The field or method of a name; undefined if there is none. */
  field(name: string): Value | undefined {
    const index0 = BigInt(this.#index0)
    switch (name) {
      case 'index0':
        return index0
      case 'index':
        return index0 + 1n
      case 'first':
        return this.#index0 === 0
      case 'last':
        return this.#peek() === undefined
      case 'length':
        return this.length
      case 'revindex0':
        return this.length - index0 - 1n
      case 'revindex':
        return this.length - index0
      case 'depth0':
        return this.#depth0
      case 'depth':
        return this.#depth0 + 1n
      case 'previtem':
        return this.#index0 === 0 ? new Undefined('there is no previous item') : this.#before
      case 'nextitem':
        return this.#peek() ?? new Undefined('there is no next item')
      case 'cycle':
        return new Callable('cycle', ({ args }) => this.#cycle(args))
      case 'changed':
        return new Callable('changed', ({ args }) => this.#isChanged(new Tuple(args)))
      default:
        return undefined
    }
  }

  /** Renders the loop's body for the elements of a part, one level deeper. */
  call(iterable: Value): string {
    if (this.#recurse === undefined)
      throw typeError("The loop must have the 'recursive' marker to be called recursively.")
    return this.#recurse(iterable, this.#depth0 + 1n)
  }

  get length(): bigint {
    if (this.#length === undefined) {
      this.#length = this.#iterable instanceof Iterator ? undefined : lengthOf(this.#iterable)
      if (this.#length === undefined) {
        const rest = toList(new Iterator(this.#source))
        this.#source = rest.values()
        this.#length = rest.length + this.#index0 + 1 + (this.#after === undefined ? 0 : 1)
      }
    }
    return BigInt(this.#length)
  }

  #peek(): Value | undefined {
    if (this.#after === undefined) this.#after = this.#source.next().value as Value | undefined
    return this.#after
  }

  #cycle(args: readonly Value[]): Value {
    if (args.length === 0) throw typeError('no items for cycling given')
    return args[this.#index0 % args.length]!
  }

  #isChanged(value: Tuple): boolean {
    const same = this.#changed !== undefined && isEqual(this.#changed, value)
    this.#changed = value
    return !same
  }
}
