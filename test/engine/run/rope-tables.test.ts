import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts'
import { RopeTables, filledPositions } from '../../../src/engine/run/rope-tables.ts'
import { ropeAngles } from '../../../src/families/parts/rope.ts'
import { convert } from '../../../src/tensor/convert.ts'
import { fromFloat32 } from '../../../src/tensor/tensor.ts'

const fixture = (name: string): string => new URL(`../../fixtures/${name}`, import.meta.url).pathname

test('sessions of one kind share a table, which grows with the longest row', async () => {
  const made: string[] = []
  const tables = new RopeTables((await openCheckpoint(fixture('llama'))).config, 'float32', (key) => made.push(key))
  const key = tables.acquire(100, 128)
  assert.equal(tables.acquire(128, 128), key)
  assert.equal(tables.acquire(256, 256), key)
  assert.equal(tables.get(key).positions, 256)
  assert.equal(made.length, 2)
})

test('tables of lengths that nobody uses any more are forgotten, those in use are not', async () => {
  const tables = new RopeTables((await openCheckpoint(fixture('llama-dynamic'))).config, 'float32', () => {})
  const held = tables.acquire(17, 128)
  for (let length = 18; length < 64; length++) tables.release(tables.acquire(length, 128))
  assert.ok(tables.size <= 10, `${tables.size} tables`)
  assert.equal(tables.get(held).positions, 128)
})

test('a table fills up as far as it is needed, and then holds what one made at once holds', async () => {
  const { config } = await openCheckpoint(fixture('llama3-rope'))
  for (const dtype of ['float32', 'bfloat16'] as const) {
    const tables = new RopeTables(config, dtype, () => undefined)
    const key = tables.acquire(5000, 5000)
    assert.equal(filledPositions(tables.get(key, 0)), 0)
    const filled = filledPositions(tables.get(key, 10))
    assert.ok(filled >= 10 && filled < 5000, `${filled} positions`)
    tables.acquire(6000, 6000)
    assert.equal(filledPositions(tables.get(key, 0)), filled)
    const table = tables.get(key)
    assert.equal(filledPositions(table), 6000)
    const { cos, sin, halfDim } = ropeAngles(config.ropes[0]!, { maxLength: 6000, positions: 6000 })
    assert.ok(Buffer.from(table.ropes[0]!.cos.data).equals(convert(fromFloat32(cos, [6000, halfDim]), dtype).data))
    assert.ok(Buffer.from(table.ropes[0]!.sin.data).equals(convert(fromFloat32(sin, [6000, halfDim]), dtype).data))
  }
})
