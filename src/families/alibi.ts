import type { Layers } from '../graph/layers.ts'
import type { Value } from '../graph/value.ts'

/**
 * Each head's slope (Press et al., "Train Short, Test Long"): a geometric progression for a power of two of heads, and
 * for what is left every other one of the next power's. Computed as transformers does, in float32.
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
 * What is added to each head's scores at each position: positions float32 [total] -> [1, heads, 1, total]. The slope
 * times the position itself: softmax takes no notice of what all of a token's scores have in common.
 */
export function alibi(layers: Layers, positions: Value, slopes: Float32Array): Value {
  return layers.scaleEach(positions, slopes, [1, slopes.length, 1, 1], 'alibi')
}
