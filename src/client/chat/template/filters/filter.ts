import { type Parameter, bind } from '../values/bind.ts'
import type { Arguments, Value } from '../values/value.ts'

/** Filters and tests by name, for filters that apply others. */
export interface Named {
  readonly filter: (name: string, given: Arguments) => Value
  readonly test: (name: string, given: Arguments) => boolean
}

/** A filter: the value that it is applied to is the first argument. */
export type Filter = (given: Arguments, named: Named) => Value

/** A filter with named parameters behind its value. */
export function filter(name: string, parameters: readonly Parameter[], body: (...values: Value[]) => Value): Filter {
  const all: readonly Parameter[] = [['value'], ...parameters]
  return (given) => body(...bind(name, all, given))
}
