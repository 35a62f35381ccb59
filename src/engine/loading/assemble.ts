import type { MatrixPart } from '../../graph/parameter.ts'
import { dtypeSize, type FloatDType } from '../../tensor/dtype.ts'
import { byteLength, type Tensor } from '../../tensor/tensor.ts'
import {
  type BlockFormat,
  QUANT_LAYOUTS,
  type QuantFormat,
  type QuantizedMatrix,
  quantizedSizes,
  quantizeRows,
} from '../../tensor/quantize.ts'

/**
 * Puts the pieces of stored matrices, whose bytes in `dtype` are given by `read`, in their places in a tensor of this
 * shape.
 */
export function assemble(
  shape: readonly number[],
  parts: readonly MatrixPart[],
  dtype: FloatDType,
  read: (name: string) => Uint8Array,
): Tensor {
  const data = new Uint8Array(byteLength(dtype, shape))
  const size = dtypeSize(dtype)
  const rowBytes = shape.at(-1)! * size
  for (const part of parts) {
    const stored = read(part.name)
    eachRow(part, (from, to) => data.set(stored.subarray(from * size, from * size + rowBytes), to * rowBytes))
  }
  return { dtype, shape, data }
}

/**
 * As `assemble`, quantized row by row: one stored matrix, in float32, is held at a time. Formats whose rows begin with
 * blocks of their own.
 */
export function assembleQuantized(
  shape: readonly number[],
  parts: readonly MatrixPart[],
  format: BlockFormat,
  read: (name: string) => Float32Array,
): QuantizedMatrix {
  const columns = shape.at(-1)!
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1)
  const { blocks, codeBytes } = quantizedSizes(format, rows, columns)
  const codes = new Uint8Array(codeBytes),
    scales = new Float32Array(blocks)
  const rowCodes = codeBytes / rows,
    rowBlocks = blocks / rows
  if (!QUANT_LAYOUTS[format].blocksPerRow) throw new TypeError(`${format} cannot be assembled by rows`)
  for (const part of parts) {
    const stored = read(part.name)
    eachRow(part, (from, to) =>
      quantizeRows(format, stored.subarray(from, from + columns), columns, {
        codes: codes.subarray(to * rowCodes, (to + 1) * rowCodes),
        scales: scales.subarray(to * rowBlocks, (to + 1) * rowBlocks),
      }),
    )
  }
  return { codes, scales }
}

/** A matrix in float32, quantized into memory for its codes that `allocate` gives. */
export function quantize(
  format: QuantFormat,
  { shape, data }: Tensor,
  allocate: (byteLength: number) => Uint8Array,
): QuantizedMatrix {
  const [rows = 0, columns = 0] = shape
  const { blocks, codeBytes } = quantizedSizes(format, rows, columns)
  const matrix = { codes: allocate(codeBytes), scales: new Float32Array(blocks) }
  quantizeRows(format, new Float32Array(data.buffer, data.byteOffset, rows * columns), columns, matrix)
  return matrix
}

/** `copy` is told at which element of the stored matrix a row begins, and which row of the parameter it becomes. */
function eachRow({ shape: [, columns], pieces }: MatrixPart, copy: (from: number, to: number) => void): void {
  for (const { row, column, rows, firstRow, rowStep } of pieces) {
    for (let i = 0; i < rows; i++) copy((row + i) * columns + column, firstRow + i * rowStep)
  }
}
