import { mxfp4Pieces } from '../checkpoint/weights/mxfp4.ts'
import type { WantedTensor } from '../checkpoint/weights/reconcile.ts'
import type { Float8Quant, PackedQuant } from '../checkpoint/config/stored-quant.ts'
import { storedPieces } from '../checkpoint/weights/stored-pieces.ts'
import type { DType } from '../tensor/dtype.ts'
import type { QuantFormat } from '../tensor/quantize.ts'

/** A weight that a graph reads; its bytes come from a checkpoint. */
export interface Parameter {
  /** Unique in its graph. In a block's graph, names of stored tensors are relative to the block's prefix. */
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /** `inline`: the bytes are written into the ONNX model. `external`: the session is given them in memory. */
  readonly placement: 'inline' | 'external'
  /**
   * Whether a CPU session keeps a copy in its kernel's own order (onnxruntime's "prepacking"), so that the original may
   * be freed once the session exists.
   */
  readonly prepacked: boolean
  /** How the bytes are made from the checkpoint's tensors. */
  readonly source: ParameterSource
}

/**
 * How a parameter's bytes are made from the checkpoint's tensors. Of matrices in a quantized format a parameter has one
 * part, or their values: what the parts stand for, in float32, which is what inference computes with.
 */
export type ParameterSource = FloatSource | UnpackedSource | QuantizedSource | MicroscaledSource

/** Where the floats of a parameter come from, or of a matrix that is quantized afterwards. */
export type FloatSource = StoredSource | AssembledSource | WidenedSource

/** The checkpoint's tensor of the same name and shape, of any float dtype. */
export interface StoredSource {
  readonly kind: 'stored'
}

/** Rows taken from several matrices of the checkpoint, e.g. those of all experts. */
export interface AssembledSource {
  readonly kind: 'assembled'
  readonly parts: readonly MatrixPart[]
  /** The scales of parts that are stored as float8. */
  readonly quant?: Float8Quant | undefined
}

/** A matrix of a float8 checkpoint, multiplied by its stored scales. */
export interface WidenedSource {
  readonly kind: 'widened'
  readonly quant: Float8Quant
  readonly module: StoredModule
}

/** A checkpoint that stores its matrices as packed integers; these are reordered without rounding. */
export interface UnpackedSource {
  readonly kind: 'unpacked'
  readonly quant: PackedQuant
  readonly part: 'codes' | 'scales' | 'zeros' | 'values'
  readonly module: StoredModule
}

/**
 * A matrix that the checkpoint stores in MXFP4, as the two tensors `name`_blocks and `name`_scales, in 8 bits; nothing
 * is rounded (`checkpoint/weights/mxfp4.ts`).
 */
export interface MicroscaledSource {
  readonly kind: 'microscaled'
  readonly part: 'codes' | 'scales' | 'values'
  /** The stored matrix, whose pieces begin and end with blocks. */
  readonly stored: MatrixPart
}

/** A matrix of floats that is quantized when it is loaded. */
export interface QuantizedSource {
  readonly kind: 'quantized'
  readonly format: QuantFormat
  readonly part: 'codes' | 'scales' | 'values'
  readonly matrix: FloatMatrix
}

/** A linear layer of a quantized checkpoint: its name, and its weight's shape [out, in]. */
export interface StoredModule {
  readonly name: string
  readonly shape: readonly [number, number]
}

/** A matrix [..., out, in] of floats. `name` is the name that a parameter holding it unquantized would have. */
export interface FloatMatrix {
  readonly name: string
  readonly shape: readonly number[]
  readonly source: FloatSource
}

/**
 * One stored matrix, and the pieces of it that go into a parameter. The parameter is seen as a matrix: all its axes but
 * the last are its rows.
 */
export interface MatrixPart {
  readonly name: string
  /** As stored: [rows, columns], or a stack of such matrices, [matrices, rows, columns]. */
  readonly shape: readonly number[]
  /** Whether the pieces are of the stored matrix's transpose. */
  readonly transposed?: boolean | undefined
  readonly pieces: readonly RowPiece[]
}

/**
 * `rows` rows of the stored matrix from row `row` on, and of each `columns` columns from `column` on: where not given,
 * as many as the parameter has.
 */
export interface RowPiece {
  /** Which matrix of a stack; the first where not given. */
  readonly matrix?: number | undefined
  readonly row: number
  readonly column: number
  readonly rows: number
  readonly columns?: number | undefined
  /** The parameter's column that the first becomes; 0 where not given. */
  readonly firstColumn?: number | undefined
  /** The parameter's rows that they become: every `rowStep`-th row from `firstRow` on. */
  readonly firstRow: number
  readonly rowStep: number
}

/** The checkpoint's tensors that a parameter is made from. */
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
      return source.quant === undefined
        ? source.parts
        : source.parts
            .map(storedModule)
            .flatMap(({ name: module, shape: of }) => storedPieces(source.quant!, module, of))
    case 'microscaled':
      return mxfp4Pieces(source.stored.name, source.stored.shape)
    case 'widened':
    case 'unpacked':
      return storedPieces(source.quant, source.module.name, source.module.shape)
    case 'quantized':
      return storedTensors(source.matrix)
  }
}

/** The linear layer whose weight a part is. */
export function storedModule({ name, shape: [out = 0, inner = 0] }: MatrixPart): StoredModule {
  return { name: name.replace(/\.weight$/, ''), shape: [out, inner] }
}

/** A part of a matrix that had so many columns, as a part of that matrix's transpose; its rows must lie together. */
export function transposedPart({ transposed = false, pieces, ...part }: MatrixPart, columns: number): MatrixPart {
  return {
    ...part,
    transposed: !transposed,
    pieces: pieces.map((piece) => ({
      matrix: piece.matrix,
      row: piece.column,
      column: piece.row,
      rows: piece.columns ?? columns,
      columns: piece.rows,
      firstRow: piece.firstColumn ?? 0,
      firstColumn: piece.firstRow,
      rowStep: 1,
    })),
  }
}
