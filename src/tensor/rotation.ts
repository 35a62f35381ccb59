/** Channels that one rotation mixes at most: more spread outliers no better, and cost more. */
const MOST = 64

/**
 * How many adjacent channels of a row are mixed by a rotation: the largest power of two up to 64 of which rows are
 * whole multiples.
 */
export function rotationSize(columns: number): number {
  return Math.min(MOST, columns & -columns)
}

/**
 * The rotation [size, size]: Sylvester's Hadamard matrix, divided by the square root of its size. It is its own inverse
 * and transpose, so products of rotated rows are those of the rows themselves, and a channel that stands out in a row
 * is shared out among all that it is mixed with (Ashkboos et al., "QuaRot").
 */
export function rotationMatrix(size: number): Float32Array {
  const matrix = new Float32Array(size * size)
  for (let i = 0; i < size; i++) matrix[i * size + i] = 1
  rotate(matrix, size)
  return matrix
}

/** Rotates each `size` adjacent values in place; `values` holds whole multiples of them. */
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
        const a = values[i]!,
          b = values[i + step]!
        values[i] = a + b
        values[i + step] = a - b
      }
  }
  for (let i = 0; i < values.length; i++) values[i]! *= factor
}

/** Three rounds of sums and differences at once, of eight values `step` apart. */
function mixEight(values: Float32Array, at: number, step: number): void {
  const a = values[at]!,
    b = values[at + step]!,
    c = values[at + 2 * step]!,
    d = values[at + 3 * step]!,
    e = values[at + 4 * step]!,
    f = values[at + 5 * step]!,
    g = values[at + 6 * step]!,
    h = values[at + 7 * step]!
  const ab = a + b,
    cd = c + d,
    ef = e + f,
    gh = g + h,
    a_b = a - b,
    c_d = c - d,
    e_f = e - f,
    g_h = g - h
  values[at] = ab + cd + (ef + gh)
  values[at + step] = a_b + c_d + (e_f + g_h)
  values[at + 2 * step] = ab - cd + (ef - gh)
  values[at + 3 * step] = a_b - c_d + (e_f - g_h)
  values[at + 4 * step] = ab + cd - (ef + gh)
  values[at + 5 * step] = a_b + c_d - (e_f + g_h)
  values[at + 6 * step] = ab - cd - (ef - gh)
  values[at + 7 * step] = a_b - c_d - (e_f - g_h)
}
