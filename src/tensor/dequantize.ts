import { NF4_LEVELS } from './nf4.ts'
import { QUANT_LAYOUTS, type QuantFormat, type QuantizedMatrix } from './quantize.ts'
import { rotate, rotationSize } from './rotation.ts'

const LEVELS = Float32Array.from(NF4_LEVELS)

/**
 * The values that codes of rows of a matrix stand for (see `QUANT_LAYOUTS`; those of `int8-rows` are rotated back),
 * into `values` [rows, columns].
 */
export function dequantizeRows(
  format: QuantFormat,
  { codes, scales }: QuantizedMatrix,
  columns: number,
  values: Float32Array,
): void {
  if (format === 'int8-rows') return ofRotatedRows(codes, scales, columns, values)
  const { blockSize, blocksPerRow } = QUANT_LAYOUTS[format]
  const length = blocksPerRow ? columns : values.length
  let block = 0
  for (let row = 0; row < values.length; row += length) {
    const end = row + length
    for (let start = row; start < end; start += blockSize, block++)
      ofBlock(
        format,
        codes,
        block * blockSize,
        scales[block]!,
        values.subarray(start, Math.min(end, start + blockSize)),
      )
  }
}

/** One block, whose first code is number `first`. */
function ofBlock(format: QuantFormat, codes: Uint8Array, first: number, scale: number, values: Float32Array): void {
  if (format === 'int8') {
    for (let i = 0; i < values.length; i++) values[i] = (codes[first + i]! - 128) * scale
    return
  }
  for (let i = 0, at = first >> 1; i < values.length; i += 2, at++) {
    const [low, high] = [codes[at]! & 15, codes[at]! >> 4]
    const isNf4 = format === 'nf4'
    values[i] = (isNf4 ? LEVELS[high]! : low - 8) * scale
    if (i + 1 < values.length) values[i + 1] = (isNf4 ? LEVELS[low]! : high - 8) * scale
  }
}

/** Signed codes, transposed to [columns, rows], of rows that were rotated: a rotation is its own inverse. */
function ofRotatedRows(codes: Uint8Array, scales: Float32Array, columns: number, values: Float32Array): void {
  const rows = values.length / columns
  for (let row = 0; row < rows; row++) {
    const scale = scales[row]!
    for (let column = 0, from = row, to = row * columns; column < columns; column++, from += rows, to++)
      values[to] = ((codes[from]! << 24) >> 24) * scale
  }
  rotate(values, rotationSize(columns))
}
