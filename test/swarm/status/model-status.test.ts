import assert from 'node:assert/strict'
import { test } from 'node:test'
import { modelStatus, numBlocksOf } from '../../../src/swarm/status/model-status.ts'
import { recordOf } from '../kit.ts'

const KEY = 'llama-12x64-0123456789abcdef'

test('blocks that no server is ONLINE with are missing, also where one is joining or draining', () => {
  const records = [
    recordOf('B'.repeat(12), { start: 4, end: 8 }),
    recordOf('A'.repeat(12), { start: 0, end: 5 }),
    recordOf('C'.repeat(12), { start: 8, end: 10, state: 'JOINING' }),
    recordOf('D'.repeat(12), { start: 11, end: 12 }),
  ]
  const status = modelStatus(KEY, 12, records)
  assert.deepEqual(status.holders, [1, 1, 1, 1, 2, 1, 1, 1, 0, 0, 0, 1])
  assert.deepEqual(status.missing, ['8:11'])
  assert.deepEqual(
    status.servers.map(({ start }) => start),
    [0, 4, 8, 11],
  )
})

test('the number of blocks is read from the key, or from the records where somebody chose the key', () => {
  assert.equal(numBlocksOf(KEY, [recordOf('A', { end: 4 })]), 12)
  assert.equal(numBlocksOf('my-model', [recordOf('A', { end: 4 }), recordOf('B', { end: 9 })]), 9)
})
