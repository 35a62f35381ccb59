import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planDecodeRuns } from '../../../src/engine/run/decode-runs.ts'
import { type BucketLimits, leastRows, widenToBucket } from '../../../src/engine/run/row-bucket.ts'

const CAPACITY = 128
const row = (index: number) => ({ offset: index * CAPACITY, capacity: CAPACITY, start: 0, end: 3, ropeKey: 'default' })
const idle = { tokensAt: () => 0, runTokens: 1000 }
const LIMITS: BucketLimits = { maxRows: 64, leastRows: 16, cacheTokens: 64 * CAPACITY, bridgeable: () => true, idle }

/** First row and number of rows of the bucket, and which of them were asked for. */
function bucket(rows: readonly number[], limits: Partial<BucketLimits> = {}): unknown[] {
  const [run] = planDecodeRuns(rows.map(row), 64, () => true, idle)
  const { offset, rows: widened } = widenToBucket(run!, { ...LIMITS, ...limits })
  const asked = widened.flatMap((one, i) => (one === undefined ? [] : [offset / CAPACITY + i]))
  assert.deepEqual(asked, rows)
  return [offset / CAPACITY, widened.length]
}

/** Rows that hold so many tokens. */
function holding(tokens: Record<number, number>): Partial<BucketLimits> {
  return { idle: { tokensAt: (offset) => tokens[offset / CAPACITY] ?? 0, runTokens: 1000 } }
}

for (const [rows, expected] of [
  [[5], [0, 16]],
  [[17], [16, 16]],
  [
    [4, 5],
    [0, 16],
  ],
  [
    [15, 16],
    [0, 32],
  ],
  [
    [31, 32],
    [0, 64],
  ],
] as const) {
  test(`rows ${rows.join(' and ')} go through the ${expected[1]} rows from ${expected[0]} on`, () =>
    assert.deepEqual(bucket(rows), expected))
}

test('whatever rows of a capacity are ready, there are 7 buckets of 64 rows', () => {
  const seen = new Set<string>()
  for (let first = 0; first < 64; first++)
    for (let last = first; last < 64; last++) seen.add(bucket(first === last ? [first] : [first, last]).join())
  assert.equal(seen.size, 7)
})

test('where more rows take longer, as in int4, buckets are as small as may be', () => {
  assert.deepEqual(bucket([5, 6], { leastRows: leastRows(true) }), [4, 4])
  assert.deepEqual(bucket([5], { leastRows: leastRows(true) }), [5, 1])
  assert.deepEqual(bucket([5], { leastRows: leastRows(false) }), [0, 16])
})

test("a bucket that would write another's tokens, leave the cache or carry too much is not used", () => {
  assert.deepEqual(bucket([5, 6], { bridgeable: (offset) => offset !== 9 * CAPACITY }), [4, 4])
  assert.deepEqual(bucket([5, 6], { bridgeable: (offset) => offset !== 7 * CAPACITY }), [5, 2])
  assert.deepEqual(bucket([5, 6], { cacheTokens: 8 * CAPACITY }), [4, 4])
  assert.deepEqual(bucket([5, 6], { cacheTokens: 7 * CAPACITY }), [5, 2])
  assert.deepEqual(bucket([3, 4], { maxRows: 4 }), [3, 2])
})

test('idle rows may hold an eighth of what takes as long to read as the weights; free ones hold nothing', () => {
  assert.deepEqual(bucket([5, 6], holding({ 0: 60, 12: 65 })), [0, 16])
  assert.deepEqual(bucket([5, 6], holding({ 0: 60, 12: 66 })), [4, 4])
  assert.deepEqual(bucket([5, 6], holding({ 4: 126 })), [5, 2])
  assert.deepEqual(bucket([5], holding({ 4: 126 })), [5, 1])
})

test('a row at no multiple of its length stays alone', () => {
  const run = { offset: 128, capacity: 1536, rows: [{ ...row(1), capacity: 1536 }] }
  assert.equal(widenToBucket(run, LIMITS), run)
})

test('rows far apart are one run, unless those between hold more than the weights', () => {
  const far = [row(0), row(9)]
  assert.equal(planDecodeRuns(far, 16, () => true).length, 2)
  assert.equal(planDecodeRuns(far, 16, () => true, idle).length, 1)
  for (const [each, runs] of [
    [125, 1],
    [126, 2],
  ] as const)
    assert.equal(planDecodeRuns(far, 16, () => true, { tokensAt: () => each, runTokens: 1000 }).length, runs)
})
