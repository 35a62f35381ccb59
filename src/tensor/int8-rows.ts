import { rotate, rotationSize } from './rotation.ts'

/** Rows that are quantized before they are written out as columns, so that writes go to `TILE` adjacent bytes. */
const TILE = 16

/** Bytes between a tile's rows: at distances of a power of two they would compete for the same cache lines. */
const PADDING = 64

/**
 * Quantizes a matrix `values` [rows, columns] to signed bytes, one scale per row. Rows are rotated first
 * (`rotation.ts`). `codes` is written transposed, [columns, rows], `scales` is [rows].
 *
 * In a row, codes 2i and 2i + 1, where they have one sign, add up to at most 128 in magnitude: processors without VNNI
 * multiply with unsigned bytes and add such pairs in 16 bits, which must not overflow. A row with a weight that is not
 * finite gets the scale NaN.
 */
export function int8Rows(values: Float32Array, columns: number, codes: Uint8Array, scales: Float32Array): void {
  const rows = values.length / columns
  const pitch = columns + PADDING
  const size = rotationSize(columns)
  const row = new Float32Array(columns)
  const tile = new Uint8Array(TILE * pitch)
  for (let first = 0; first < rows; first += TILE) {
    const height = Math.min(TILE, rows - first)
    for (let i = 0; i < height; i++) {
      row.set(values.subarray((first + i) * columns, (first + i + 1) * columns))
      rotate(row, size)
      scales[first + i] = roundRow(row, tile.subarray(i * pitch, i * pitch + columns))
    }
    for (let column = 0; column < columns; column++) {
      const to = column * rows + first
      for (let i = 0, from = column; i < height; i++, from += pitch) codes[to + i] = tile[from]!
    }
  }
}

/** Rounds one rotated row into `codes`; returns the row's scale. */
function roundRow(row: Float32Array, codes: Uint8Array): number {
  let most = 0
  for (let i = 0; i < row.length; i += 2) {
    const a = row[i]!
    const b = i + 1 < row.length ? row[i + 1]! : 0
    most = Math.max(most, a * b > 0 ? Math.abs(a + b) : Math.max(Math.abs(a), Math.abs(b)))
  }
  // 127 and not 128: rounding adds up to half a step to each code of a pair.
  const inverse = most === 0 ? 0 : 127 / most
  for (let i = 0; i < row.length; i++) codes[i] = Math.floor(row[i]! * inverse + 0.5)
  return Number.isFinite(most) ? most / 127 : Number.NaN
}
