/** The most channels that one rotation mixes: with more, outliers are spread no better and the rotation costs more. */
const MOST = 64

/**
 * How many adjacent channels one rotation mixes in rows of `columns` channels: the largest power of two, up to 64, that
 * divides `columns`.
 */
export function rotationSize(columns: number): number {
  return Math.min(MOST, columns & -columns)
}

/**
 * The rotation as a matrix [size, size]: Sylvester's Hadamard matrix divided by sqrt(size). It is symmetric and its own
 * inverse, so rotating both rows of a product leaves the product as it is, while an outlier channel is spread over all
 * channels that it is mixed with (Ashkboos et al., "QuaRot").
 */
export function rotationMatrix(size: number): Float32Array {
  const matrix = new Float32Array(size * size)
  for (let i = 0; i < size; i++) matrix[i * size + i] = 1
  rotate(matrix, size)
  return matrix
}

/**
 * Rotates every `size` adjacent values in place; the number of values must be a multiple of `size`. A fast
 * Walsh-Hadamard transform.
 */
export function rotate(values: Float32Array, size: number): void {
  const factor = 1 / Math.sqrt(size)
  let step = 1
  for (; size / step >= 8; step *= 8) {
    for (let group = 0; group < values.length; group += 8 * step)
      for (let i = group; i < group + step; i++) mixEight(values, i, step)
  }
  for (; step < size; step *= 2) {
    for (let group = 0; group < values.length; group += 2 * step)
      for (let i = group; i < group + step; i++) {
        const a = values[i]!
        const b = values[i + step]!
        values[i] = a + b
        values[i + step] = a - b
      }
  }
  for (let i = 0; i < values.length; i++) values[i]! *= factor
}

/** Three rounds of the transform's sums and differences at once, on eight values that lie `step` apart. */
function mixEight(values: Float32Array, at: number, step: number): void {
  const a = values[at]!
  const b = values[at + step]!
  const c = values[at + 2 * step]!
  const d = values[at + 3 * step]!
  const e = values[at + 4 * step]!
  const f = values[at + 5 * step]!
  const g = values[at + 6 * step]!
  const h = values[at + 7 * step]!
  const ab = a + b
  const cd = c + d
  const ef = e + f
  const gh = g + h
  const a_b = a - b
  const c_d = c - d
  const e_f = e - f
  const g_h = g - h
  values[at] = ab + cd + (ef + gh)
  values[at + step] = a_b + c_d + (e_f + g_h)
  values[at + 2 * step] = ab - cd + (ef - gh)
  values[at + 3 * step] = a_b - c_d + (e_f - g_h)
  values[at + 4 * step] = ab + cd - (ef + gh)
  values[at + 5 * step] = a_b + c_d - (e_f + g_h)
  values[at + 6 * step] = ab - cd - (ef - gh)
  values[at + 7 * step] = a_b - c_d - (e_f - g_h)
}
