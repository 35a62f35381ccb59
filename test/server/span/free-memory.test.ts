import assert from 'node:assert/strict'
import { totalmem } from 'node:os'
import { test } from 'node:test'
import { freeMemoryBytes, withinLimit } from '../../../src/server/span/free-memory.ts'

const GB = 1e9
const machine = { freeBytes: 20 * GB, totalBytes: 32 * GB, limitBytes: 0, leftBytes: 0, reclaimableBytes: 0 }

const cases: [string, Partial<typeof machine>, number][] = [
  ['no limit: what the machine has free', {}, 20],
  ['a limit beyond the machine is none', { limitBytes: 2 ** 64, leftBytes: 2 ** 64 }, 20],
  ['what the limit leaves', { limitBytes: 8 * GB, leftBytes: 5 * GB }, 5],
  ['files in the page cache make room', { limitBytes: 8 * GB, leftBytes: 0.5 * GB, reclaimableBytes: 6 * GB }, 6.5],
  ['never more than the limit', { limitBytes: 8 * GB, leftBytes: 6 * GB, reclaimableBytes: 6 * GB }, 8],
  ['never more than the machine has free', { freeBytes: 3 * GB, limitBytes: 8 * GB, leftBytes: 6 * GB }, 3],
]
for (const [id, readings, expected] of cases) {
  test(`memory that a process can still take: ${id}`, () => {
    assert.equal(withinLimit({ ...machine, ...readings }), expected * GB)
  })
}

test('this process has some', () => {
  const bytes = freeMemoryBytes()
  assert.ok(bytes > 0 && bytes <= totalmem(), `${bytes}`)
})
