import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts'
import { RopeTables } from '../../src/engine/rope-tables.ts'

const fixture = (name: string): string => new URL(`../fixtures/${name}`, import.meta.url).pathname

test('sessions of one kind share a table, which grows with the longest row', async () => {
  const made: string[] = []
  const tables = new RopeTables((await openCheckpoint(fixture('llama'))).config, 'float32', (key) => made.push(key))
  const key = tables.acquire(100, 128)
  assert.equal(tables.acquire(128, 128), key)
  assert.equal(tables.acquire(256, 256), key)
  assert.equal(tables.get(key).cos.shape[0], 256)
  assert.equal(made.length, 2)
})

test('tables of lengths that nobody uses any more are forgotten, those in use are not', async () => {
  const tables = new RopeTables((await openCheckpoint(fixture('llama-dynamic'))).config, 'float32', () => {})
  const held = tables.acquire(17, 128)
  for (let length = 18; length < 64; length++) tables.release(tables.acquire(length, 128))
  assert.ok(tables.size <= 10, `${tables.size} tables`)
  assert.equal(tables.get(held).cos.shape[0], 128)
})
