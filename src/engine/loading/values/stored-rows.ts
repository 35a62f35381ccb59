import { mxfp4Pieces, widenCodes, widenScales } from '../../../checkpoint/weights/mxfp4.ts'
import { readBytes, readTensor } from '../../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../../checkpoint/weights/safetensors.ts'
import type { Float8Quant } from '../../../checkpoint/config/stored-quant.ts'
import { widenFloat8Rows } from '../../../checkpoint/weights/unpack.ts'
import type { StoredModule } from '../../../graph/parameter.ts'
import { asFloat32, numElements } from '../../../tensor/tensor.ts'

export type Slices = ReadonlyMap<string, TensorSlice>

/** A stored matrix, or a stack of them, of which some rows at a time are read as float32. */
export interface StoredRows {
  readonly rows: number
  readonly columns: number
  /** Reads as many rows from `first` on as `values` has. Synchronous. Throws as `readTensor`. */
  read(first: number, values: Float32Array): void
}

/** `count` of a tensor's rows from `first` on; all axes but the last are rows. */
export function rowsOf(slice: TensorSlice, first: number, count: number): TensorSlice {
  const columns = slice.shape.at(-1) ?? 1
  const rowBytes = slice.byteLength / (numElements(slice.shape) / columns)
  return { ...slice, offset: slice.offset + first * rowBytes, byteLength: count * rowBytes, shape: [count, columns] }
}

/** A tensor of floats of any dtype. */
export function floatRows(slice: TensorSlice): StoredRows {
  const columns = slice.shape.at(-1) ?? 1
  return {
    rows: numElements(slice.shape) / columns,
    columns,
    read: (first, values) => {
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
      readTensor(rowsOf(slice, first, values.length / columns), 'float32', () => bytes)
    },
  }
}

/** A matrix in float8 times its scales. */
export function float8Rows(quant: Float8Quant, { name, shape }: StoredModule, slices: Slices): StoredRows {
  const [rows, columns] = shape
  const codesOf = slices.get(`${name}.weight`)!
  const scales = asFloat32(readTensor(slices.get(`${name}.${quant.scale}`)!, 'float32'))
  return {
    rows,
    columns,
    read(first, values) {
      const codes = readBytes(rowsOf(codesOf, first, values.length / columns))
      widenFloat8Rows(quant, columns, first, { codes, scales }, values)
    },
  }
}

/** How many weights of MXFP4 share a scale. */
const BLOCK = 32

/** Stacked matrices in MXFP4, of this shape. */
export function microscaledRows(name: string, shape: readonly number[], slices: Slices): StoredRows {
  const [blocks, scales] = mxfp4Pieces(name, shape).map((piece) => slices.get(piece.name)!) as [
    TensorSlice,
    TensorSlice,
  ]
  const columns = shape.at(-1)!,
    perRow = columns / BLOCK
  return {
    rows: numElements(shape) / columns,
    columns,
    read(first, values) {
      const count = values.length / columns
      const codes = new Uint8Array(values.length),
        factors = new Float32Array(count * perRow)
      widenCodes(readBytes(rowsOf(blocks, first * perRow, count * perRow)), codes)
      widenScales(readBytes(rowsOf(scales, first, count)), factors)
      for (let i = 0; i < values.length; i++) values[i] = (codes[i]! - 128) * factors[i >> 5]!
    },
  }
}
