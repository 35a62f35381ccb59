import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MovePlanner } from '../../../src/server/placement/next-move.ts'
import type { Placement } from '../../../src/server/placement/placement.ts'

const NUM_BLOCKS = 8

const at = (peerId: string, start: number, end: number, throughput = 1, movable = true): Placement => ({
  peerId,
  start,
  length: end - start,
  throughput,
  movable,
})

/** What each movable server is told to do, by peer id. */
async function moves(servers: Placement[], quality = 0.95): Promise<Record<string, number | undefined>> {
  const planner = new MovePlanner(NUM_BLOCKS, quality)
  const decided = servers.map(async ({ peerId }) => [peerId, await planner.nextMove(servers, peerId)] as const)
  return Object.fromEntries((await Promise.all(decided)).filter(([, start]) => start !== undefined))
}

describe('a server', () => {
  test('fills a hole if it leaves none', async () => {
    assert.deepEqual(await moves([at('a', 0, 4), at('b', 0, 4)]), { a: 4, b: 4 })
  })

  test('does not leave one hole to fill another', async () => {
    assert.deepEqual(await moves([at('a', 0, 4), at('b', 4, 6)]), {})
  })

  test('stays where its user put it', async () => {
    assert.deepEqual(await moves([at('a', 0, 4, 1, false), at('b', 0, 4)]), { b: 4 })
  })

  test('stays where the swarm is as good as it can be', async () => {
    assert.deepEqual(await moves([at('a', 0, 4), at('b', 4, 8), at('c', 0, 4)]), {})
  })

  test('moves where it lifts the bottleneck, if it does enough', async () => {
    const servers = [at('a', 0, 4, 2), at('b', 0, 4, 4), at('c', 0, 4, 3), at('d', 4, 8, 3)]
    assert.deepEqual(Object.keys(await moves(servers)).length > 0, true)
    assert.deepEqual(await moves(servers, 0.3), {})
  })

  test('that alone holds a block stays, for less than twice the throughput', async () => {
    assert.deepEqual(await moves([at('a', 0, 5, 3), at('b', 5, 8, 9)]), {})
  })
})

test('a swarm of one server that cannot hold all blocks is left alone', async () => {
  assert.deepEqual(await moves([at('a', 0, 4)]), {})
  assert.deepEqual(await moves([]), {})
})
