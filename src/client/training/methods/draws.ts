import { inPieces } from '../../../base/pace.ts'
import { seededRandom } from '../../../sampling/random.ts'
import { seedFor } from '../data/order.ts'

/**
 * So many draws of a normal distribution of mean 0 (Box and Muller). `use` names what they are for: each use of a seed
 * has its own.
 */
export function normalValues(count: number, deviation: number, seed: number, use: string): Promise<Float32Array> {
  const random = seededRandom(seedFor(seed, use))
  return drawn(count, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()))
    return deviation * radius * Math.cos(2 * Math.PI * random())
  })
}

/** So many draws, all numbers from -bound to bound being equally likely. */
export function uniformValues(count: number, bound: number, seed: number, use: string): Promise<Float32Array> {
  const random = seededRandom(seedFor(seed, use))
  return drawn(count, () => bound * (2 * random() - 1))
}

/** So many values one after the other, in pieces. */
async function drawn(count: number, draw: () => number): Promise<Float32Array> {
  const values = new Float32Array(count)
  await inPieces(count, (from, until) => {
    for (let i = from; i < until; i++) values[i] = draw()
  })
  return values
}
