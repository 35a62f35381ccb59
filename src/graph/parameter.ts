import type { WantedTensor } from '../checkpoint/weights/reconcile.ts'
import { type Float8Quant, type PackedQuant, storedPieces } from '../checkpoint/weights/stored-quant.ts'
import type { DType } from '../tensor/dtype.ts'
import type { QuantFormat } from '../tensor/quantize.ts'

/** A weight of the model, which a graph reads; its bytes come from a checkpoint. */
export interface Parameter {
  /** Unique in its graph. In a block's graph, names of tensors are relative to the block's prefix. */
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /** `inline`: its bytes are written into the model. `external`: it is given to the session in memory. */
  readonly placement: 'inline' | 'external'
  /**
   * Whether a CPU session keeps its own packed copy, so that the original may be given back once the session exists.
   */
  readonly packed: boolean
  /** How its bytes are made of tensors of the checkpoint. */
  readonly source: ParameterSource
}

export type ParameterSource = FloatSource | UnpackedSource | QuantizedSource

/** Where floats come from: of a parameter, or of a matrix that is then quantized. */
export type FloatSource = StoredSource | AssembledSource | WidenedSource

/** The tensor of the checkpoint that has the parameter's name and shape, in any float dtype. */
export interface StoredSource {
  readonly kind: 'stored'
}

/** Rows of several matrices of the checkpoint, e.g. those of all experts. */
export interface AssembledSource {
  readonly kind: 'assembled'
  readonly parts: readonly MatrixPart[]
}

/** A matrix of a float8 checkpoint, multiplied by its scales. */
export interface WidenedSource {
  readonly kind: 'widened'
  readonly quant: Float8Quant
  readonly module: StoredModule
}

/** Codes, scales or zero points of a checkpoint whose matrices are stored as packed integers; nothing is rounded. */
export interface UnpackedSource {
  readonly kind: 'unpacked'
  readonly quant: PackedQuant
  readonly part: 'codes' | 'scales' | 'zeros'
  readonly module: StoredModule
}

/** Codes or scales of a matrix of floats that is quantized as it is loaded. */
export interface QuantizedSource {
  readonly kind: 'quantized'
  readonly format: QuantFormat
  readonly part: 'codes' | 'scales'
  readonly matrix: FloatMatrix
}

/** A linear layer of a quantized checkpoint: its name, and the shape [out, in] of its weight. */
export interface StoredModule {
  readonly name: string
  readonly shape: readonly [number, number]
}

/** A matrix [..., out, in] of floats, by the name that the parameter had that held it as it is. */
export interface FloatMatrix {
  readonly name: string
  readonly shape: readonly number[]
  readonly source: FloatSource
}

/** A matrix of the checkpoint, and where pieces of it go in a parameter, seen as a matrix of its last axis. */
export interface MatrixPart {
  readonly name: string
  readonly shape: readonly [number, number]
  readonly pieces: readonly RowPiece[]
}

/**
 * `rows` rows of a stored matrix from `row` on, of each as many columns from `column` on as a parameter's rows have.
 */
export interface RowPiece {
  readonly row: number
  readonly column: number
  readonly rows: number
  /** Where they go: to every `rowStep`-th row of the parameter from `firstRow` on. */
  readonly firstRow: number
  readonly rowStep: number
}

/** The tensors of the checkpoint that a parameter is made of. */
export function storedTensors({
  name,
  shape,
  source,
}: Omit<FloatMatrix, 'source'> & {
  readonly source: ParameterSource
}): readonly WantedTensor[] {
  switch (source.kind) {
    case 'stored':
      return [{ name, shape }]
    case 'assembled':
      return source.parts
    case 'widened':
    case 'unpacked':
      return storedPieces(source.quant, source.module.name, source.module.shape)
    case 'quantized':
      return storedTensors(source.matrix)
  }
}
