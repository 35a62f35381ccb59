import type { WantedTensor } from '../checkpoint/weights/reconcile.ts'
import { storedPieces, type StoredQuant } from '../checkpoint/weights/stored-quant.ts'
import type { DType } from '../tensor/dtype.ts'
import type { QuantFormat } from '../tensor/quantize.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** A size, or the name of one that is known only when the graph runs. Equal names mean equal sizes. */
export type Dim = number | string

export type Shape = readonly Dim[]

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

/** Operators of ONNX itself, or of onnxruntime. */
export type Domain = '' | 'com.microsoft'

export interface Node {
  /** Unique in its graph; the runtime's errors quote it. */
  readonly name: string
  readonly op: string
  readonly domain: Domain
  /** An input that an operator allows to leave out is `undefined`. */
  readonly inputs: readonly (Value | undefined)[]
  readonly outputs: readonly Value[]
  readonly attributes: Readonly<Record<string, Attribute>>
}

/** A tensor of the checkpoint, by the name that it has there (in a block's graph: relative to the block's prefix). */
export interface Parameter {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /** `inline`: its bytes are written into the model. `external`: it is given to the session in memory. */
  readonly placement: 'inline' | 'external'
  /**
   * Whether a CPU session keeps its own packed copy, so that the original may be given back once the session exists.
   */
  readonly packed: boolean
  /** Of a parameter that is not stored as such: the tensors of the checkpoint that it is made of. */
  readonly parts?: readonly ParameterPart[] | undefined
  /** Of a parameter that comes from a matrix of a quantized checkpoint. */
  readonly stored?: StoredHalf | undefined
  /** Of a parameter that is half of a quantized matrix. */
  readonly quantized?: QuantizedHalf | undefined
}

/** What a quantized matrix is made of: a tensor of the checkpoint, or parts of several. */
export type StoredMatrix = Pick<Parameter, 'name' | 'shape' | 'parts' | 'stored'>

/** What of a matrix [out, in] of a quantized checkpoint a parameter holds; `weight` is all of it in floats. */
export interface StoredHalf {
  readonly quant: StoredQuant
  readonly part: 'codes' | 'scales' | 'zeros' | 'weight'
  readonly module: string
  readonly matrixShape: readonly [number, number]
}

export interface QuantizedHalf {
  readonly format: QuantFormat
  readonly part: 'codes' | 'scales'
  readonly matrix: StoredMatrix
}

/** The tensors of the checkpoint that a parameter needs, by the names that they have there. */
export function storedTensors({ quantized, ...parameter }: Parameter): readonly WantedTensor[] {
  const { name, shape, parts, stored } = quantized?.matrix ?? parameter
  return stored === undefined
    ? (parts ?? [{ name, shape }])
    : storedPieces(stored.quant, stored.module, stored.matrixShape)
}

/** A stored matrix, pieces of which are rows of a parameter, seen as a matrix of its last axis. */
export interface ParameterPart {
  readonly name: string
  readonly shape: readonly [number, number]
  readonly pieces: readonly Piece[]
}

/**
 * `rows` rows of a stored matrix from `row` on, of each as many columns from `column` on as a parameter's rows have.
 */
export interface Piece {
  readonly row: number
  readonly column: number
  readonly rows: number
  /** Where they go: to every `rowStep`-th row of the parameter from `firstRow` on. */
  readonly firstRow: number
  readonly rowStep: number
}

export interface Constant {
  readonly value: Value
  readonly tensor: Tensor
}

/** What a graph calls one of its nodes' results. */
export interface GraphOutput {
  readonly name: string
  readonly value: Value
}

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

/** "float32 [rows, tokens, 64]" */
export function describe({ dtype, shape }: ValueType): string {
  return `${dtype} [${shape.join(', ')}]`
}
