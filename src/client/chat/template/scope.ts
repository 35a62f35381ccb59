import { UnsupportedError } from './errors.ts'
import { GLOBALS } from './globals.ts'
import { Undefined, type Value } from './values/value.ts'

/** The variables of a part of a template; those of the parts around it are visible, but not changed, from within. */
export class Scope {
  readonly #variables: Map<string, Value>
  readonly #around: Scope | undefined

  constructor(around?: Scope, variables: Iterable<readonly [string, Value]> = []) {
    this.#around = around
    this.#variables = new Map(variables)
  }

  /** The value of a name; an `Undefined` if there is none. */
  get(name: string): Value {
    const value = this.#variables.get(name)
    if (value !== undefined) return value
    if (this.#around !== undefined) return this.#around.get(name)
    if (name === 'self') throw new UnsupportedError('the variable self')
    return GLOBALS.get(name) ?? new Undefined(`'${name}' is undefined`)
  }

  set(name: string, value: Value): void {
    this.#variables.set(name, value)
  }
}
