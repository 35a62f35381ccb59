import { type AssembledSource, type MatrixPart, type Parameter, storedModule } from '../../../graph/parameter.ts'
import { dequantizeRows } from '../../../tensor/dequantize.ts'
import { type QuantFormat, quantizedSizes, quantizeRows } from '../../../tensor/quantize.ts'
import { numElements } from '../../../tensor/tensor.ts'
import { float8Rows, floatRows, microscaledRows, type Slices, type StoredRows } from './stored-rows.ts'
import { readUnpacked } from './unpacked-values.ts'

/** How many elements are read or converted at once: one or two milliseconds. */
const PIECE = 1 << 18

/**
 * Reads a parameter's values in float32 into `values`, whatever it is stored in or inference keeps it in, in pieces of
 * one or two milliseconds: between any two it yields. `slices` holds the block's stored tensors. Throws as `readTensor`.
 */
export function* readValues(
  { name, shape, source }: Pick<Parameter, 'name' | 'shape' | 'source'>,
  slices: Slices,
  values: Float32Array,
): Generator<void> {
  switch (source.kind) {
    case 'stored':
      return yield* copyRows(floatRows(slices.get(name)!), values)
    case 'widened':
      return yield* copyRows(float8Rows(source.quant, source.module, slices), values)
    case 'assembled':
      for (const part of source.parts) yield* placeRows(part, partRows(source, part, slices), shape.at(-1)!, values)
      return
    case 'microscaled': {
      const { stored } = source
      return yield* placeRows(stored, microscaledRows(stored.name, stored.shape, slices), shape.at(-1)!, values)
    }
    case 'unpacked':
      return yield* readUnpacked(source.quant, source.module, slices, values, PIECE)
    case 'quantized':
      yield* readValues(source.matrix, slices, values)
      return yield* roundValues(source.format, shape.at(-1)!, values)
  }
}

function partRows({ quant }: AssembledSource, part: MatrixPart, slices: Slices): StoredRows {
  return quant === undefined ? floatRows(slices.get(part.name)!) : float8Rows(quant, storedModule(part), slices)
}

/** How many rows a piece has: at least one, and a multiple of `step`. */
function rowsAtOnce(columns: number, step = 1): number {
  return Math.max(step, Math.floor(PIECE / columns / step) * step)
}

function* copyRows(stored: StoredRows, values: Float32Array): Generator<void> {
  const count = rowsAtOnce(stored.columns)
  for (let row = 0; row < stored.rows; row += count) {
    stored.read(row, values.subarray(row * stored.columns, (row + count) * stored.columns))
    yield
  }
}

/** Puts the pieces of a stored matrix in their places in a parameter whose rows have `columns` values. */
function* placeRows(part: MatrixPart, stored: StoredRows, columns: number, values: Float32Array): Generator<void> {
  const matrixRows = part.shape.at(-2) ?? 1
  const wanted = part.transposed === true ? columns : undefined
  for (const { matrix = 0, row, column, rows, firstRow, rowStep } of part.pieces) {
    // Of a transpose, the parameter's columns are rows of what is stored.
    const first = matrix * matrixRows + (wanted === undefined ? row : column)
    const whole = wanted ?? rows
    const atOnce = rowsAtOnce(stored.columns)
    const isWhole = wanted === undefined && columns === stored.columns && rowStep === 1
    for (let done = 0; done < whole; done += atOnce) {
      const count = Math.min(atOnce, whole - done)
      const to0 = (firstRow + done) * columns
      const found = isWhole ? values.subarray(to0, to0 + count * columns) : new Float32Array(count * stored.columns)
      stored.read(first + done, found)
      if (isWhole) {
        yield
        continue
      }
      if (wanted === undefined) {
        for (let i = 0, to = firstRow + done * rowStep; i < count; i++, to += rowStep) {
          const from = i * stored.columns + column
          values.set(found.subarray(from, from + columns), to * columns)
        }
      } else
        for (let i = 0; i < rows; i++) {
          const to = (firstRow + i * rowStep) * columns + done
          for (let j = 0, from = row + i; j < count; j++, from += stored.columns) values[to + j] = found[from]!
        }
      yield
    }
  }
}

/** Replaces the values of a matrix by those that its codes in a quantized format stand for. */
function* roundValues(format: QuantFormat, columns: number, values: Float32Array): Generator<void> {
  // Of formats whose blocks go on over the ends of rows, whole blocks: no format has larger ones.
  const count = rowsAtOnce(columns, 64) * columns
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
