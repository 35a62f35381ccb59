import { widenCodes, widenScales } from '../../checkpoint/weights/mxfp4.ts'
import type { MatrixPart, RowPiece } from '../../graph/parameter.ts'
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
  const columns = shape.at(-1)!
  for (const part of parts) {
    const stored = read(part)
    if (part.transposed) copyColumns(part, stored, data, size, columns)
    else
      eachRow(part, columns, ({ from, count, to, first }) =>
        data.set(stored.subarray(from * size, (from + count) * size), (to * columns + first) * size),
      )
  }
  return { dtype, shape, data }
}

/**
 * As `assemble`, quantized row by row: one stored matrix, in float32, is held at a time. Formats whose rows begin with
 * blocks of their own; pieces begin and end with blocks.
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
  const rowBlocks = blocks / rows,
    blockCodes = codeBytes / blocks
  const { blockSize, blocksPerRow } = QUANT_LAYOUTS[format]
  if (!blocksPerRow) throw new TypeError(`${format} cannot be assembled by rows`)
  for (const part of parts) {
    const stored = read(part)
    eachRow(part, columns, ({ from, step, count, to, first }) => {
      const at = to * rowBlocks + first / blockSize,
        until = at + Math.ceil(count / blockSize)
      quantizeRows(format, strided(stored, from, step, count), count, {
        codes: codes.subarray(at * blockCodes, until * blockCodes),
        scales: scales.subarray(at, until),
      })
    })
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

/** A row of a piece, or what a piece has of a row. */
interface PieceRow {
  /** The element of the stored tensor that it begins with, how far apart its elements are stored, and how many. */
  readonly from: number
  readonly step: number
  readonly count: number
  /** The row of the parameter, and the first of its columns, that it becomes. */
  readonly to: number
  readonly first: number
}

/** The rows of a part that goes into a parameter of so many columns. */
function eachRow(
  { shape, transposed = false, pieces }: MatrixPart,
  columns: number,
  copy: (row: PieceRow) => void,
): void {
  const [outer = 0, inner = 0] = shape.slice(-2)
  const [rowStride, step] = transposed ? [1, inner] : [inner, 1]
  for (const { matrix = 0, row, column, rows, firstRow, rowStep, ...piece } of pieces) {
    const start = matrix * outer * inner + column * step
    const { count, first } = columnsOf(piece, columns)
    for (let i = 0; i < rows; i++)
      copy({ from: start + (row + i) * rowStride, step, count, to: firstRow + i * rowStep, first })
  }
}

/** How many columns a piece has in a parameter of so many, and the first of these. */
function columnsOf({ columns, firstColumn = 0 }: Pick<RowPiece, 'columns' | 'firstColumn'>, all: number) {
  return { count: columns ?? all, first: firstColumn }
}

/** Elements of two or four bytes; rows of the stored matrix, which lie together, are read whole. */
function copyColumns(part: MatrixPart, stored: Uint8Array, target: Uint8Array, size: number, columns: number): void {
  const Words = size === 4 ? Uint32Array : Uint16Array
  const from = new Words(stored.buffer as ArrayBuffer, stored.byteOffset, stored.byteLength / size)
  const to = new Words(target.buffer as ArrayBuffer, target.byteOffset, target.byteLength / size)
  const [outer = 0, inner = 0] = part.shape.slice(-2)
  for (const { matrix = 0, row, column, rows, firstRow, rowStep, ...piece } of part.pieces) {
    const start = matrix * outer * inner + column * inner + row
    const { count, first } = columnsOf(piece, columns)
    for (let j = 0; j < count; j++) {
      for (let i = 0; i < rows; i++) to[(firstRow + i * rowStep) * columns + first + j] = from[start + j * inner + i]!
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
  eachRow(stored, columns, ({ from, count, to, first }) => {
    const at = to * columns + first
    widenCodes(blocks.subarray(from / 2, (from + count) / 2), codes.subarray(at, at + count))
  })
  return codes
}

/** The scales of `assembleCodes`, [..., blocks of a row]. */
export function assembleScales(shape: readonly number[], stored: MatrixPart, bits: Uint8Array): Float32Array {
  const blocks = shape.at(-1)!
  const scales = new Float32Array(numElements(shape))
  const { blockSize } = QUANT_LAYOUTS.int8
  eachRow(stored, blocks * blockSize, ({ from, count, to, first }) => {
    const [block, at, many] = [from / blockSize, to * blocks + first / blockSize, count / blockSize]
    widenScales(bits.subarray(block, block + many), scales.subarray(at, at + many))
  })
  return scales
}
