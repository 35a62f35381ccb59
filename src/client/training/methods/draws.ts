import { seededRandom } from '../../../sampling/random.ts'
import { seedFor } from '../data/order.ts'

/**
 * So many draws of a normal distribution of mean 0 (Box and Muller). `use` names what they are for: each use of a seed
 * has its own.
 */
export function normalValues(count: number, deviation: number, seed: number, use: string): Float32Array {
  const random = seededRandom(seedFor(seed, use))
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()))
    return deviation * radius * Math.cos(2 * Math.PI * random())
  })
}

/** So many draws, all numbers from -bound to bound being equally likely. */
export function uniformValues(count: number, bound: number, seed: number, use: string): Float32Array {
  const random = seededRandom(seedFor(seed, use))
  return Float32Array.from({ length: count }, () => bound * (2 * random() - 1))
}
