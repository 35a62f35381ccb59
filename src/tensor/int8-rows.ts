import { rotate, rotationSize } from './rotation.ts'

/** Rows that are turned into columns at a time. */
const TILE = 16

/** Keeps the rows of a tile from lying in the same lines of the processor's caches. */
const PADDING = 64

/**
 * Quantizes a matrix, `values` [rows, columns], rotated (see `rotation.ts`): each row has one of `scales`, and `codes`
 * [columns, rows] are signed bytes. No two neighbours of one sign in a row have codes that add up to more than 128: a
 * processor without VNNI sums products with unsigned bytes in pairs in 16 bits, which must not overflow. A row with a
 * weight that is not finite gets a scale that is no number.
 */
export function int8Rows(values: Float32Array, columns: number, codes: Uint8Array, scales: Float32Array): void {
  const rows = values.length / columns,
    pitch = columns + PADDING,
    size = rotationSize(columns)
  const row = new Float32Array(columns),
    tile = new Uint8Array(TILE * pitch)
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

/** Returns the scale. */
function roundRow(row: Float32Array, codes: Uint8Array): number {
  let most = 0
  for (let i = 0; i < row.length; i += 2) {
    const a = row[i]!,
      b = i + 1 < row.length ? row[i + 1]! : 0
    most = Math.max(most, a * b > 0 ? Math.abs(a + b) : Math.max(Math.abs(a), Math.abs(b)))
  }
  // Rounding adds half a step to each of the two.
  const inverse = most === 0 ? 0 : 127 / most
  for (let i = 0; i < row.length; i++) codes[i] = Math.floor(row[i]! * inverse + 0.5)
  return Number.isFinite(most) ? most / 127 : Number.NaN
}
