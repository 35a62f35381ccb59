import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RunTime } from '../../../src/engine/schedule/run-time.ts'

function assertNear(value: number, expected: number): void {
  assert.ok(Math.abs(value - expected) < 0.01 * expected, `${value} in place of ${expected}`)
}

test('what a run and each of its rows take is learnt from runs of different sizes', () => {
  const runTime = new RunTime()
  assert.equal(runTime.of(16), 0)
  for (let i = 0; i < 100; i++) runTime.ran(1 + (i % 16), 3 + 0.5 * (1 + (i % 16)))
  assertNear(runTime.runMs, 3)
  assertNear(runTime.rowMs, 0.5)
  assertNear(runTime.of(16), 11)
})

test('while all runs have as many rows, each takes what those did', () => {
  const runTime = new RunTime()
  for (let i = 0; i < 10; i++) runTime.ran(6, 4)
  assert.equal(runTime.rowMs, 0)
  assertNear(runTime.of(12), 4)
})

test('that rows cost something is not forgotten when runs have as many each, and runs follow a slower machine', () => {
  const runTime = new RunTime()
  for (let i = 0; i < 100; i++) runTime.ran(5 + (i % 32), 3 + 5 + (i % 32))
  for (let i = 0; i < 1000; i++) runTime.ran(6, 18)
  assert.ok(runTime.rowMs > 0.5)
  assertNear(runTime.of(6), 18)
})
