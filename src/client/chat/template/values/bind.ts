import { typeError } from '../errors.ts'
import { type Arguments, Callable, type Value } from './value.ts'

/** A parameter: its name, and its default if it may be left out. */
export type Parameter = readonly [name: string, ifAbsent?: Value]

/** The values of a function's parameters in order, from what a call gives. Throws a TypeError as Python does. */
export function bind(name: string, parameters: readonly Parameter[], { args, kwargs }: Arguments): Value[] {
  if (args.length > parameters.length)
    throw typeError(`${name}() takes at most ${parameters.length} arguments (${args.length} given)`)
  for (const key of kwargs.keys()) {
    const place = parameters.findIndex(([parameter]) => parameter === key)
    if (place < 0) throw typeError(`${name}() got an unexpected keyword argument '${key}'`)
    if (place < args.length) throw typeError(`${name}() got multiple values for argument '${key}'`)
  }
  return parameters.map(([parameter, ifAbsent], i) => {
    const value = i < args.length ? args[i] : kwargs.has(parameter) ? kwargs.get(parameter) : ifAbsent
    if (value === undefined) throw typeError(`${name}() missing required argument '${parameter}'`)
    return value
  })
}

/** A function of Python with named parameters. */
export function pyFunction(
  name: string,
  parameters: readonly Parameter[],
  body: (...values: Value[]) => Value,
): Callable {
  return new Callable(name, (given) => body(...bind(name, parameters, given)))
}
