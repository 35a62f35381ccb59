import { randomInt } from 'node:crypto'

/** The largest range that node's `randomInt` accepts. */
const SEEDS = 2 ** 48 - 1

/** A seed from the system's random numbers. */
export function drawSeed(): number {
  return randomInt(SEEDS)
}

/**
 * A generator of uniform numbers in [0, 1) with 53 random bits each: xoshiro128** (Blackman and Vigna, "Scrambled
 * Linear Pseudorandom Number Generators"), its state filled by splitmix64 from `seed`, a safe integer. A seed gives the
 * same numbers on every machine; without one, the system's random numbers give it.
 */
export function seededRandom(seed = drawSeed()): () => number {
  const next = xoshiro(seedWords(seed))
  return () => {
    const high = next() >>> 5
    const low = next() >>> 6
    return (high * 2 ** 26 + low) / 2 ** 53
  }
}

/**
 * The seed of the i-th prompt of a batch, or of the i-th text of a prompt: `seed` itself for i = 0, else another safe
 * integer computed from `seed` and i. Undefined if `seed` is.
 */
export function deriveSeed(seed: number | undefined, of: 'prompt' | 'text', i: number): number | undefined {
  if (seed === undefined || i === 0) return seed
  const [low, high] = seedWords(seed, BigInt(2 * i) + (of === 'text' ? 1n : 0n))
  return (high! & 0x1f_ffff) * 2 ** 32 + low!
}

/**
 * Four 32-bit words from a seed, by splitmix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators"). Each
 * `stream` of a seed gives other words.
 */
function seedWords(seed: number, stream = 0n): Uint32Array {
  const words = new BigUint64Array(2)
  let state = BigInt(seed) + stream * 0xd1342543de82ef95n
  for (let i = 0; i < words.length; i++) {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n)
    let mixed = BigInt.asUintN(64, (state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n)
    mixed = BigInt.asUintN(64, (mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn)
    words[i] = mixed ^ (mixed >> 31n)
  }
  return Uint32Array.from([...words].flatMap((word) => [Number(word & 0xffff_ffffn), Number(word >> 32n)]))
}

/** xoshiro128**: the next 32 bits at each call. */
function xoshiro(words: Uint32Array): () => number {
  let [a = 0, b = 0, c = 0, d = 0] = words
  return () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9)
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotateLeft(d, 11)
    return result
  }
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}
