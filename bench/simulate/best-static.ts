import type { Machine } from './simulated-swarm.ts'

/**
 * The largest bottleneck that these servers can give a model, wherever they stand, in tokens per second: exact, for up
 * to ten servers or so. It is the sum of some servers' throughputs, so each such sum is tried.
 */
export function bestStaticBottleneck(numBlocks: number, machines: readonly Machine[]): number {
  const sums = [...subsetSums(machines.map(({ throughput }) => throughput))].sort((a, b) => a - b)
  let reachable = 0
  let low = 0
  let high = sums.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    if (reaches(numBlocks, machines, sums[middle]! * (1 - 1e-9))) {
      reachable = sums[middle]!
      low = middle + 1
    } else high = middle - 1
  }
  return reachable
}

function subsetSums(values: readonly number[]): Set<number> {
  let sums = [0]
  for (const value of values) sums = sums.flatMap((sum) => [sum, sum + value])
  return new Set(sums)
}

/**
 * Whether every block can have at least `target`. Somebody must lift the first block that lacks some, and might as well
 * begin right there, since the blocks before have enough: so only the order of the servers has to be tried.
 */
function reaches(numBlocks: number, machines: readonly Machine[], target: number): boolean {
  const got = new Float64Array(numBlocks)
  const left = new Set(machines)
  const go = (from: number): boolean => {
    let block = from
    while (block < numBlocks && got[block]! >= target) block += 1
    if (block === numBlocks) return true
    if (missing(got, target) > work(left)) return false
    for (const machine of Array.from(left)) {
      const start = Math.min(block, numBlocks - machine.length)
      left.delete(machine)
      for (let i = start; i < start + machine.length; i++) got[i]! += machine.throughput
      const found = go(block)
      for (let i = start; i < start + machine.length; i++) got[i]! -= machine.throughput
      left.add(machine)
      if (found) return true
    }
    return false
  }
  return go(0)
}

function missing(got: Float64Array, target: number): number {
  return got.reduce((sum, value) => sum + Math.max(target - value, 0), 0)
}

function work(machines: Iterable<Machine>): number {
  let sum = 0
  for (const { length, throughput } of machines) sum += length * throughput
  return sum
}
