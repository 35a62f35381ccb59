import {
  type AssembledSource,
  type MatrixPart,
  type Parameter,
  type RowPiece,
  storedModule,
} from '../../../graph/parameter.ts'
import { dequantizeRows } from '../../../tensor/dequantize.ts'
import { type QuantFormat, quantizedSizes, quantizeRows } from '../../../tensor/quantize.ts'
import { numElements } from '../../../tensor/tensor.ts'
import { cachedMatrix, readCached } from './cached-values.ts'
import { float8Rows, floatRows, microscaledRows, type Slices, type StoredRows } from './stored-rows.ts'
import { readUnpacked } from './unpacked-values.ts'

/** How many elements are read or converted at once: one or two milliseconds. */
const PIECE = 1 << 18

/** How many times longer it takes to round a weight than to read it, at the least. */
const ROUNDING_WORK = 4

/** The most weights, a power of two, that share a scale in a format whose blocks go on over the ends of rows. */
const LARGEST_BLOCK = 64

/**
 * Reads a parameter's values in float32 into `values`, whatever it is stored in or inference keeps it in, in pieces of
 * at most `most` elements, where rows are not longer: between any two it yields. `slices` holds the block's stored
 * tensors, and codes that a quantization cache has of its matrices (`<name>.codes`, `<name>.scales`). Throws as
 * `readTensor`.
 */
export function* readValues(
  { name, shape, source }: Pick<Parameter, 'name' | 'shape' | 'source'>,
  slices: Slices,
  values: Float32Array,
  most = PIECE,
): Generator<void> {
  switch (source.kind) {
    case 'stored':
      return yield* copyRows(floatRows(slices.get(name)!), values, most)
    case 'widened':
      return yield* copyRows(float8Rows(source.quant, source.module, slices), values, most)
    case 'assembled':
      for (const part of source.parts) yield* placeRows(part, partRows(source, part, slices), shape, values, most)
      return
    case 'microscaled': {
      const { stored } = source
      return yield* placeRows(stored, microscaledRows(stored.name, stored.shape, slices), shape, values, most)
    }
    case 'unpacked':
      return yield* readUnpacked(source.quant, source.module, slices, values, most)
    case 'quantized': {
      const cached = cachedMatrix(source, slices)
      const columns = shape.at(-1)!
      if (cached !== undefined)
        return yield* readCached(source, cached, values, rowsAtOnce(most, columns, wholeBlocks(columns)))
      yield* readValues(source.matrix, slices, values, most)
      return yield* roundValues(source.format, columns, values, most)
    }
  }
}

function partRows({ quant }: AssembledSource, part: MatrixPart, slices: Slices): StoredRows {
  return quant === undefined ? floatRows(slices.get(part.name)!) : float8Rows(quant, storedModule(part), slices)
}

/** How many rows a piece has: at least one, and a multiple of `step`. */
function rowsAtOnce(most: number, columns: number, step = 1): number {
  return Math.max(step, Math.floor(most / columns / step) * step)
}

function* copyRows(stored: StoredRows, values: Float32Array, most: number): Generator<void> {
  const count = rowsAtOnce(most, stored.columns)
  for (let row = 0; row < stored.rows; row += count) {
    stored.read(row, values.subarray(row * stored.columns, (row + count) * stored.columns))
    yield
  }
}

/** `count` rows of a stored matrix, `width` values each, beginning with row or column `done` of a piece. */
interface Found {
  readonly values: Float32Array
  readonly done: number
  readonly count: number
  readonly width: number
}

/** Puts the pieces of a stored matrix in their places in a parameter of this shape. */
function* placeRows(
  part: MatrixPart,
  stored: StoredRows,
  shape: readonly number[],
  values: Float32Array,
  most: number,
): Generator<void> {
  const matrixRows = part.shape.at(-2) ?? 1,
    columns = shape.at(-1)!
  const atOnce = rowsAtOnce(most, stored.columns)
  for (const piece of part.pieces) {
    const { matrix = 0, row, column, rows, rowStep } = piece
    // Of a transpose, the parameter's columns are rows of what is stored.
    const [first, whole] = part.transposed === true ? [column, piece.columns ?? columns] : [row, rows]
    const inPlace =
      part.transposed !== true && columns === stored.columns && rowStep === 1 && piece.columns === undefined
    for (let done = 0; done < whole; done += atOnce) {
      const count = Math.min(atOnce, whole - done)
      const to = (piece.firstRow + done) * columns
      const found = inPlace ? values.subarray(to, to + count * columns) : new Float32Array(count * stored.columns)
      stored.read(matrix * matrixRows + first + done, found)
      const place = part.transposed === true ? placeColumns : placeEach
      if (!inPlace) place(piece, { values: found, done, count, width: stored.columns }, values, columns)
      yield
    }
  }
}

/** Stored rows, the first of which is the piece's row `done`, become rows of the parameter. */
function placeEach(piece: RowPiece, found: Found, values: Float32Array, columns: number): void {
  const { column, firstRow, rowStep, firstColumn = 0 } = piece
  for (let i = 0; i < found.count; i++) {
    const from = i * found.width + column
    const to = (firstRow + (found.done + i) * rowStep) * columns + firstColumn
    values.set(found.values.subarray(from, from + (piece.columns ?? columns)), to)
  }
}

/** Stored rows, the first of which is the piece's column `done`, become columns of the parameter. */
function placeColumns(
  piece: RowPiece,
  { values: found, done, count, width }: Found,
  values: Float32Array,
  columns: number,
): void {
  for (let i = 0; i < piece.rows; i++) {
    const to = (piece.firstRow + i * piece.rowStep) * columns + (piece.firstColumn ?? 0) + done
    for (let j = 0, from = piece.row + i; j < count; j++, from += width) values[to + j] = found[from]!
  }
}

/** As many rows as are whole blocks, which in some formats go on over the ends of rows: no format has larger ones. */
function wholeBlocks(columns: number): number {
  return LARGEST_BLOCK / Math.min(LARGEST_BLOCK, columns & -columns)
}

/** Replaces the values of a matrix by those that its codes in a quantized format stand for. */
function* roundValues(format: QuantFormat, columns: number, values: Float32Array, most: number): Generator<void> {
  const count = rowsAtOnce(most / ROUNDING_WORK, columns, wholeBlocks(columns)) * columns
  for (let first = 0; first < values.length; first += count) {
    const rows = values.subarray(first, first + count)
    const { blocks, codeBytes } = quantizedSizes(format, rows.length / columns, columns)
    const matrix = { codes: new Uint8Array(codeBytes), scales: new Float32Array(blocks) }
    quantizeRows(format, rows, columns, matrix)
    dequantizeRows(format, matrix, columns, rows)
    yield
  }
}

/** How many bytes a parameter's values take. */
export function valueBytes({ shape }: Pick<Parameter, 'shape'>): number {
  return numElements(shape) * Float32Array.BYTES_PER_ELEMENT
}
