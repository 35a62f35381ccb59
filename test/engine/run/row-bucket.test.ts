import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planDecodeRuns } from '../../../src/engine/run/decode-runs.ts'
import { type BucketLimits, widenToBucket } from '../../../src/engine/run/row-bucket.ts'

const CAPACITY = 128
const row = (index: number) => ({ offset: index * CAPACITY, capacity: CAPACITY, start: 0, end: 3, ropeKey: 'default' })
const LIMITS: BucketLimits = { maxRows: 16, cacheTokens: 32 * CAPACITY, bridgeable: () => true }

/** First row and number of rows of the bucket, and which of them were asked for. */
function bucket(rows: readonly number[], limits: Partial<BucketLimits> = {}): unknown[] {
  const [run] = planDecodeRuns(rows.map(row), 16, () => true, 16)
  const { offset, rows: widened } = widenToBucket(run!, { ...LIMITS, ...limits })
  return [offset / CAPACITY, widened.map((one) => (one === undefined ? '-' : one.offset / CAPACITY)).join('')]
}

for (const [rows, expected] of [
  [[5], [5, '5']],
  [
    [4, 5],
    [4, '45'],
  ],
  [
    [5, 6],
    [4, '-56-'],
  ],
  [
    [0, 1, 2],
    [0, '012-'],
  ],
  [
    [3, 4],
    [0, '---34---'],
  ],
  [
    [7, 8],
    [0, '-------78-------'],
  ],
] as const) {
  test(`rows ${rows.join(' and ')} go through the bucket ${expected.join(': ')}`, () =>
    assert.deepEqual(bucket(rows), expected))
}

test("a bucket that would write another's tokens, leave the cache or carry too much is not used", () => {
  assert.deepEqual(bucket([5, 6], { bridgeable: (offset) => offset !== 7 * CAPACITY }), [5, '56'])
  assert.deepEqual(bucket([5, 6], { cacheTokens: 7 * CAPACITY }), [5, '56'])
  assert.deepEqual(bucket([3, 4], { maxRows: 4 }), [3, '34'])
})

test('a row at no multiple of its length stays alone', () => {
  const run = { offset: 128, capacity: 1536, rows: [{ ...row(1), capacity: 1536 }] }
  assert.equal(widenToBucket(run, LIMITS), run)
})

test('where gaps cost nothing, rows far apart are one run', () => {
  const far = [row(0), row(9)]
  assert.equal(planDecodeRuns(far, 16, () => true).length, 2)
  assert.equal(planDecodeRuns(far, 16, () => true, 16).length, 1)
})
