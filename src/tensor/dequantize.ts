import { NF4_LEVELS } from './nf4.ts'
import { QUANT_LAYOUTS, type QuantFormat, type QuantizedMatrix } from './quantize.ts'
import { rotate, rotationSize } from './rotation.ts'

/** What codes of four bits stand for, before they are multiplied by their block's scale. */
const INT4_LEVELS = Float32Array.from({ length: 16 }, (_, code) => code - 8)
const FLOAT4_LEVELS = Float32Array.from(NF4_LEVELS)

/**
 * The values that codes of rows of a matrix stand for (see `QUANT_LAYOUTS`; those of `int8-rows` are rotated back),
 * into `values` [rows, columns]. In `int8-rows` the codes and scales may be those of a larger matrix, of which these
 * rows are a part.
 */
export function dequantizeRows(
  format: QuantFormat,
  { codes, scales }: QuantizedMatrix,
  columns: number,
  values: Float32Array,
  part: { readonly first: number; readonly rows: number } = { first: 0, rows: values.length / columns },
): void {
  if (format === 'int8-rows') return ofRotatedRows(codes, scales, columns, values, part)
  const { blockSize, blocksPerRow } = QUANT_LAYOUTS[format]
  const length = blocksPerRow ? columns : values.length
  let block = 0
  for (let row = 0; row < values.length; row += length) {
    const end = row + length
    for (let start = row; start < end; start += blockSize, block++) {
      const stop = Math.min(end, start + blockSize)
      const first = block * blockSize
      const scale = scales[block]!
      if (format === 'int8') for (let i = start, at = first; i < stop; i++) values[i] = (codes[at++]! - 128) * scale
      else if (format === 'nf4') ofHalfBytes(FLOAT4_LEVELS, 4, codes, first >> 1, scale, values, start, stop)
      else ofHalfBytes(INT4_LEVELS, 0, codes, first >> 1, scale, values, start, stop)
    }
  }
}

/** One block of two codes in a byte, the first `shift` bits up in it. */
function ofHalfBytes(
  levels: Float32Array,
  shift: 0 | 4,
  codes: Uint8Array,
  first: number,
  scale: number,
  values: Float32Array,
  start: number,
  stop: number,
): void {
  for (let i = start, at = first; i < stop; i += 2, at++) {
    const byte = codes[at]!
    values[i] = levels[(byte >> shift) & 15]! * scale
    if (i + 1 < stop) values[i + 1] = levels[(byte >> (4 - shift)) & 15]! * scale
  }
}

/** Columns that are read together: neighbours in a row of codes. */
const TILE = 16

/** Signed codes, transposed to [columns, rows], of rows that were rotated: a rotation is its own inverse. */
function ofRotatedRows(
  codes: Uint8Array,
  scales: Float32Array,
  columns: number,
  values: Float32Array,
  part: { readonly first: number; readonly rows: number },
): void {
  const rows = values.length / columns
  for (let first = 0; first < rows; first += TILE) {
    const height = Math.min(TILE, rows - first)
    const row = part.first + first
    for (let column = 0; column < columns; column++) {
      const from = column * part.rows + row
      for (let i = 0, to = first * columns + column; i < height; i++, to += columns)
        values[to] = ((codes[from + i]! << 24) >> 24) * scales[row + i]!
    }
  }
  rotate(values, rotationSize(columns))
}
