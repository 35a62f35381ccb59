import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { startOfNewcomer } from '../../../src/server/placement/newcomer.ts'
import type { Placement } from '../../../src/server/placement/placement.ts'

/** A server of throughput 1 unless said otherwise. */
const at = (start: number, end: number, throughput = 1): Placement => ({
  peerId: `${start}:${end}`,
  start,
  length: end - start,
  throughput,
  movable: true,
})

describe('a newcomer goes', () => {
  const cases: [what: string, others: Placement[], length: number, expected: number][] = [
    ['to the beginning of an empty swarm', [], 3, 0],
    ['into the hole', [at(0, 4), at(6, 8)], 2, 4],
    ['where most of a large hole is', [at(0, 2), at(2, 4)], 3, 4],
    ['to the slowest blocks, though as many servers hold them', [at(0, 4, 5), at(4, 8, 1)], 4, 4],
    ['to the blocks of one slow server rather than of two slower ones', [at(0, 4, 2), at(4, 8, 3), at(4, 8, 3)], 4, 0],
    ['to the end, where the last blocks are missing', [at(0, 7)], 4, 4],
    ['anywhere with all blocks', [at(0, 4)], 8, 0],
  ]
  for (const [what, others, length, expected] of cases) {
    test(what, () => assert.equal(startOfNewcomer(8, others, { length, throughput: 1 }), expected))
  }
})
