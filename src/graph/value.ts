import type { DType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** The size of an axis, or the name of a size that is known only when the graph runs. Equal names are equal sizes. */
export type Dim = number | string

export type Shape = readonly Dim[]

/** The dtype and shape of a tensor in a graph. */
export interface ValueType {
  readonly dtype: DType
  readonly shape: Shape
}

/** An edge of a graph: what an input, a parameter, a constant or a node yields. */
export interface Value extends ValueType {
  readonly name: string
}

export type Attribute =
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'ints'; readonly value: readonly number[] }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }

/** Where an operator is defined: '' is ONNX itself, the other is onnxruntime. */
export type Domain = '' | 'com.microsoft'

/** One operation of a graph. */
export interface Node {
  /** Unique in its graph; the runtime's errors quote it. */
  readonly name: string
  readonly op: string
  readonly domain: Domain
  /** An optional input that is left out is undefined. */
  readonly inputs: readonly (Value | undefined)[]
  readonly outputs: readonly Value[]
  readonly attributes: Readonly<Record<string, Attribute>>
}

/** A small tensor that is part of the graph. */
export interface Constant {
  readonly value: Value
  readonly tensor: Tensor
}

/** A node's result under the name that it has as an output of the graph. */
export interface GraphOutput {
  readonly name: string
  readonly value: Value
}

/** A list of optional inputs without the absent ones at its end. */
export function optional(inputs: readonly (Value | undefined)[]): (Value | undefined)[] {
  return inputs.slice(0, inputs.findLastIndex((input) => input !== undefined) + 1)
}

/** An attribute that is a whole number. */
export function int(value: number): Attribute {
  return { type: 'int', value }
}

export function ints(value: readonly number[]): Attribute {
  return { type: 'ints', value }
}

export function float(value: number): Attribute {
  return { type: 'float', value }
}

export function string(value: string): Attribute {
  return { type: 'string', value }
}

/** A dtype and shape as text, e.g. "float32 [rows, tokens, 64]". */
export function describe({ dtype, shape }: ValueType): string {
  return `${dtype} [${shape.join(', ')}]`
}
