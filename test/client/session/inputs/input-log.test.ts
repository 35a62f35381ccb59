import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InputLog } from '../../../../src/client/session/inputs/input-log.ts'
import { fromFloat32 } from '../../../../src/tensor/tensor.ts'
import { encodeActivations } from '../../../../src/tensor/travel.ts'
import { tokensOf } from '../servers.ts'

const inputs = (from: number, until: number) =>
  fromFloat32(
    Float32Array.from({ length: until - from }, (_, i) => from + i),
    [until - from, 1],
  )

test('it holds what was written, without gaps', () => {
  const log = new InputLog(1)
  log.write(0, inputs(0, 3))
  log.write(5, inputs(5, 6))
  assert.equal(log.until, 3)
  log.write(2, inputs(2, 6))
  assert.deepEqual(tokensOf(log.range(1, 6)!), [1, 2, 3, 4, 5])
  assert.equal(log.range(0, 7), undefined)
})

test('cut back or dropped, it no longer gives what is gone', () => {
  const log = new InputLog(1)
  log.write(0, inputs(0, 9))
  log.truncate(4)
  assert.equal(log.range(0, 5), undefined)
  log.drop()
  assert.equal(log.until + log.bytes, 0)
})

test('a log made from another shares what they have in common, and neither sees what the other writes', () => {
  const source = new InputLog(1),
    copy = new InputLog(1)
  source.write(0, inputs(0, 200))
  copy.write(0, inputs(500, 900))
  copy.copyFrom(source, 150)
  assert.equal(copy.until, 150)
  source.write(140, inputs(1000, 1060))
  copy.write(150, inputs(2000, 2003))
  copy.write(10, inputs(3000, 3001))
  assert.deepEqual(tokensOf(copy.range(138, 153)!), [...tokensOf(inputs(138, 150)), 2000, 2001, 2002])
  assert.deepEqual(tokensOf(source.range(138, 142)!), [138, 139, 1000, 1001])
  assert.deepEqual(
    [source.range(10, 11)!, copy.range(10, 11)!].map((row) => tokensOf(row)[0]),
    [10, 3000],
  )
})

test('rows stay in the form in which they came, and a chunk of two forms holds the values of both', async () => {
  const log = new InputLog(1)
  const packed = await encodeActivations(inputs(0, 130), 'int8')
  log.write(0, packed)
  assert.equal(log.bytes, 3 * 64 * 3)
  assert.deepEqual(log.range(0, 130), { ...packed, data: new Uint8Array(packed.data) })
  log.write(100, inputs(1000, 1010))
  assert.equal(log.range(0, 64)!.dtype, 'int8-blocks')
  assert.equal(log.range(60, 110)!.dtype, 'float32')
  const values = tokensOf(packed)
  assert.deepEqual(tokensOf(log.range(60, 130)!), [
    ...values.slice(60, 100),
    ...tokensOf(inputs(1000, 1010)),
    ...values.slice(110),
  ])
  log.truncate(64)
  log.write(64, packed)
  assert.equal(log.range(0, 194)!.dtype, 'int8-blocks', 'a chunk that is written anew is of the new form')
})
