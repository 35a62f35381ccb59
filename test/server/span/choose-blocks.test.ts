import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseBlocks, coverageOf } from '../../../src/server/span/choose-blocks.ts'

const cases: [string, number[], number, [number, number]][] = [
  ['nobody serves: the first blocks', [0, 0, 0, 0], 2, [0, 2]],
  ['a hole in the middle', [1, 1, 0, 0, 1], 2, [2, 4]],
  ['a hole at the end', [2, 2, 2, 0], 1, [3, 4]],
  ['a hole that is smaller than the span is covered with its rarest neighbours', [3, 3, 1, 0, 2, 3], 2, [2, 4]],
  ['more holes before fewer', [0, 1, 0, 0, 1], 2, [2, 4]],
  ['all alike', [1, 1, 1], 2, [0, 2]],
  ['the whole model', [5, 0, 5], 3, [0, 3]],
]
for (const [id, coverage, count, expected] of cases) {
  test(`the blocks that fewest servers hold: ${id}`, () => {
    assert.deepEqual(chooseBlocks(coverage.length, coverage, count), expected)
  })
}

test('servers that load count as holders, those that leave do not', () => {
  const records = [
    { start: 0, end: 2, state: 'ONLINE' },
    { start: 1, end: 3, state: 'JOINING' },
    { start: 0, end: 4, state: 'DRAINING' },
    { start: 2, end: 9, state: 'ONLINE' },
  ] as const
  assert.deepEqual(coverageOf(4, records), [1, 2, 2, 1])
})
