import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planDecodeRuns } from '../../../src/engine/run/decode-runs.ts'

const row = (offset: number, capacity = 128, start = 0, end = 3, ropeKey = 'default') => ({
  offset,
  capacity,
  start,
  end,
  ropeKey,
})
const free = () => true

function plan(
  rows: ReturnType<typeof row>[],
  { maxRows = 64, bridgeable = free as (offset: number) => boolean } = {},
): (number | undefined)[][] {
  return planDecodeRuns(rows, maxRows, bridgeable).map((run) => run.rows.map((one) => one?.offset))
}

test('adjacent rows are one run, whatever order they come in', () => {
  assert.deepEqual(plan([row(256), row(0), row(128)]), [[0, 128, 256]])
})

test('a small gap is bridged, a large one is not', () => {
  assert.deepEqual(plan([row(0), row(384)]), [[0, undefined, undefined, 384]])
  assert.deepEqual(plan([row(0), row(6 * 128)]), [[0], [768]])
})

test('a gap that belongs to another kind of row is never bridged', () => {
  assert.deepEqual(plan([row(0), row(256)], { bridgeable: (offset) => offset !== 128 }), [[0], [256]])
})

test('rows of other capacities, blocks or rotary tables go into runs of their own', () => {
  const rows = [row(0), row(256, 256), row(128, 128, 0, 2), row(512, 128, 0, 3, 'longrope long')]
  assert.equal(plan(rows).length, 4)
})

test('a run carries no more rows than allowed, bridged ones included', () => {
  assert.deepEqual(plan([row(0), row(128), row(256)], { maxRows: 2 }), [[0, 128], [256]])
  assert.deepEqual(plan([row(0), row(256)], { maxRows: 2 }), [[0], [256]])
})
