import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OutputLog } from '../../../src/server/session/output-log.ts'
import { asFloat32, fromFloat32 } from '../../../src/tensor/tensor.ts'
import { widen } from '../../../src/tensor/travel.ts'

/** Outputs of width 1 whose values are their positions. */
const outputs = (from: number, until: number, base = 0) =>
  fromFloat32(
    Float32Array.from({ length: until - from }, (_, i) => base + from + i),
    [until - from, 1],
  )
const values = (log: OutputLog, from: number, until: number) => {
  const range = log.range(from, until)
  return range && [...asFloat32(widen(range))]
}

test('a range is put together from the steps that made it', () => {
  const log = new OutputLog()
  log.append(0, outputs(0, 5))
  log.append(5, outputs(5, 6))
  log.append(6, outputs(6, 9))
  assert.deepEqual(values(log, 3, 8), [3, 4, 5, 6, 7])
  assert.equal(log.range(8, 10), undefined)
})

test('outputs are held until they are acknowledged', () => {
  const log = new OutputLog()
  log.append(0, outputs(0, 4))
  log.append(4, outputs(4, 5))
  log.acknowledge(3)
  assert.deepEqual(values(log, 0, 5), [0, 1, 2, 3, 4])
  log.acknowledge(4)
  assert.equal(log.range(0, 5), undefined)
  assert.deepEqual(values(log, 4, 5), [4])
})

test('a session cut back forgets what lay behind, also in the middle of a step', () => {
  const log = new OutputLog()
  log.append(0, outputs(0, 6))
  log.append(2, outputs(2, 4, 100))
  assert.deepEqual(values(log, 0, 4), [0, 1, 102, 103])
  assert.equal(log.range(0, 5), undefined)
})

test('a log made from another holds what that held, and goes its own way', () => {
  const source = new OutputLog(),
    copy = new OutputLog()
  source.append(0, outputs(0, 4))
  source.append(4, outputs(4, 9))
  source.acknowledge(4)
  copy.append(0, outputs(0, 50, 100))
  copy.copyFrom(source, 7)
  copy.append(7, outputs(7, 8, 200))
  source.append(5, outputs(5, 6, 300))
  assert.deepEqual(values(copy, 4, 8), [4, 5, 6, 207])
  assert.deepEqual(values(source, 4, 6), [4, 305])
})
