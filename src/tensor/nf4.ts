/**
 * The levels of NF4: quantiles of the normal distribution, scaled to [-1, 1] (Dettmers et al., "QLoRA", appendix E).
 */
export const NF4_LEVELS: readonly number[] = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]

const BLOCK = 64

/** Half way between levels: what lies above goes to the higher one. */
const BOUNDS = Float32Array.from({ length: 15 }, (_, i) => (NF4_LEVELS[i]! + NF4_LEVELS[i + 1]!) / 2)

/** A block's scale is its largest magnitude; two codes to a byte, the first in its upper half. */
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

/** Of the level that the lower end of each cell goes to. No cell has more than one bound in it. */
const CELLS = 1024
const CELL_CODES = Uint8Array.from(
  { length: CELLS + 1 },
  (_, cell) => BOUNDS.findLastIndex((bound) => (cell * 2) / CELLS - 1 > bound) + 1,
)

function level(x: number): number {
  const code = CELL_CODES[((x + 1) * (CELLS / 2)) | 0]!
  return x > BOUNDS[code]! ? code + 1 : code
}
