import { widenCodes, widenScales } from '../../checkpoint/weights/mxfp4.ts'
import type { MatrixPart } from '../../graph/parameter.ts'
import { dtypeSize, type FloatDType } from '../../tensor/dtype.ts'
import { byteLength, numElements, type Tensor } from '../../tensor/tensor.ts'
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
  read: (part: MatrixPart) => Uint8Array,
): Tensor {
  const data = new Uint8Array(byteLength(dtype, shape))
  const size = dtypeSize(dtype)
  const rowBytes = shape.at(-1)! * size
  for (const part of parts) {
    const stored = read(part)
    if (part.transposed) copyColumns(part, stored, data, size, shape.at(-1)!)
    else eachRow(part, (from, to) => data.set(stored.subarray(from * size, from * size + rowBytes), to * rowBytes))
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
  read: (part: MatrixPart) => Float32Array,
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
    const stored = read(part)
    eachRow(part, (from, to, step) =>
      quantizeRows(format, strided(stored, from, step, columns), columns, {
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

/**
 * `copy` is told at which element of the stored tensor a row begins, which row of the parameter it becomes, and how far
 * apart its elements are stored.
 */
function eachRow(
  { shape, transposed = false, pieces }: MatrixPart,
  copy: (from: number, to: number, step: number) => void,
): void {
  const [outer = 0, inner = 0] = shape.slice(-2)
  const [rowStride, step] = transposed ? [1, inner] : [inner, 1]
  for (const { matrix = 0, row, column, rows, firstRow, rowStep } of pieces) {
    const start = matrix * outer * inner + column * step
    for (let i = 0; i < rows; i++) copy(start + (row + i) * rowStride, firstRow + i * rowStep, step)
  }
}

/** Elements of two or four bytes; rows of the stored matrix, which lie together, are read whole. */
function copyColumns(part: MatrixPart, stored: Uint8Array, target: Uint8Array, size: number, columns: number): void {
  const Words = size === 4 ? Uint32Array : Uint16Array
  const from = new Words(stored.buffer as ArrayBuffer, stored.byteOffset, stored.byteLength / size)
  const to = new Words(target.buffer as ArrayBuffer, target.byteOffset, target.byteLength / size)
  const [outer = 0, inner = 0] = part.shape.slice(-2)
  for (const { matrix = 0, row, column, rows, firstRow, rowStep } of part.pieces) {
    const start = matrix * outer * inner + column * inner + row
    for (let j = 0; j < columns; j++) {
      for (let i = 0; i < rows; i++) to[(firstRow + i * rowStep) * columns + j] = from[start + j * inner + i]!
    }
  }
}

/** `count` elements that lie `step` apart. */
function strided(values: Float32Array, from: number, step: number, count: number): Float32Array {
  if (step === 1) return values.subarray(from, from + count)
  return Float32Array.from({ length: count }, (_, i) => values[from + i * step]!)
}

/** Codes of a matrix in MXFP4, from its stored blocks, as 8 bits in the places of a parameter of this shape. */
export function assembleCodes(shape: readonly number[], stored: MatrixPart, blocks: Uint8Array): Uint8Array {
  const codes = new Uint8Array(numElements(shape))
  const columns = shape.at(-1)!
  eachRow(stored, (from, to) =>
    widenCodes(blocks.subarray(from / 2, (from + columns) / 2), codes.subarray(to * columns, (to + 1) * columns)),
  )
  return codes
}

/** The scales of `assembleCodes`, [..., blocks of a row]. */
export function assembleScales(shape: readonly number[], stored: MatrixPart, bits: Uint8Array): Float32Array {
  const blocks = shape.at(-1)!
  const scales = new Float32Array(numElements(shape))
  const { blockSize } = QUANT_LAYOUTS.int8
  eachRow(stored, (from, to) => {
    const first = from / blockSize
    widenScales(bits.subarray(first, first + blocks), scales.subarray(to * blocks, (to + 1) * blocks))
  })
  return scales
}
