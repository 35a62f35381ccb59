import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'

/**
 * The slope of each head's ALiBi (Press et al., "Train Short, Test Long"): a geometric progression if the number of
 * heads is a power of two; for the heads beyond such a number, every other slope of the next power of two. Computed in
 * float32 as in transformers.
 */
export function alibiSlopes(numHeads: number): Float32Array {
  const power = 2 ** Math.floor(Math.log2(numHeads))
  const slopes = Array.from({ length: power }, (_, i) => powerOf(power, i + 1))
  for (let i = 0; i < numHeads - power; i++) slopes.push(powerOf(2 * power, 2 * i + 1))
  return Float32Array.from(slopes)
}

function powerOf(power: number, exponent: number): number {
  return Math.fround(2 ** -(2 ** -(Math.log2(power) - 3))) ** exponent
}

/**
 * ALiBi's addition to the scores: positions float32 [total] -> [1, heads, 1, total], each position times the head's
 * slope. ALiBi takes the distance instead of the position, but the two differ by the same amount for all scores of a
 * token, which softmax ignores.
 */
export function alibi(layers: Layers, positions: Value, slopes: Float32Array): Value {
  return layers.scaleEach(positions, slopes, [1, slopes.length, 1, 1], 'alibi')
}
