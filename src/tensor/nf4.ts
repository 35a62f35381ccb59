/**
 * The levels of NF4: quantiles of the normal distribution, scaled to [-1, 1] (Dettmers et al., "QLoRA", appendix E).
 */
export const NF4_LEVELS: readonly number[] = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]

/** Adjacent weights that share a scale. */
const BLOCK = 64

/** The middle between each two neighbouring levels: a value above it takes the higher level. */
const BOUNDS = Float32Array.from({ length: 15 }, (_, i) => (NF4_LEVELS[i]! + NF4_LEVELS[i + 1]!) / 2)

/**
 * Quantizes `values` in blocks of 64. A block's scale is its largest magnitude; a code is the index of the level
 * nearest to value / scale. Two codes share a byte of `codes`, the first in the upper half.
 */
export function nf4Codes(values: Float32Array, codes: Uint8Array, scales: Float32Array): void {
  for (let start = 0, block = 0; start < values.length; start += BLOCK, block++) {
    const end = Math.min(values.length, start + BLOCK)
    let most = 0
    for (let i = start; i < end; i++) most = Math.max(most, Math.abs(values[i]!))
    scales[block] = most
    const inverse = most === 0 ? 0 : 1 / most
    for (let i = start; i < end; i += 2) {
      const second = i + 1 < end ? level(values[i + 1]! * inverse) : 0
      codes[i >> 1] = (level(values[i]! * inverse) << 4) | second
    }
  }
}

/**
 * [-1, 1] is divided into so many equal cells, none with more than one bound in it. `CELL_CODES` holds the code of each
 * cell's lower end, so that `level` needs one comparison.
 */
const CELLS = 1024
const CELL_CODES = Uint8Array.from(
  { length: CELLS + 1 },
  (_, cell) => BOUNDS.findLastIndex((bound) => (cell * 2) / CELLS - 1 > bound) + 1,
)

/** The index of the level nearest to x, which is in [-1, 1]. */
function level(x: number): number {
  const code = CELL_CODES[((x + 1) * (CELLS / 2)) | 0]!
  return x > BOUNDS[code]! ? code + 1 : code
}
