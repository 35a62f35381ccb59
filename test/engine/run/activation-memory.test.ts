import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ActivationMemory } from '../../../src/engine/run/activation-memory.ts'

test('what is given back serves again, and all of it goes at the end', () => {
  const memory = new ActivationMemory()
  const [first, second] = [memory.take(1000), memory.take(1000)]
  assert.notEqual(first, second)
  assert.equal(memory.bytes, 2000)
  memory.give(first)
  memory.give(new Uint8Array(1000))
  assert.equal(memory.take(1000), first)
  assert.equal(memory.take(10).byteLength, 10)
  assert.equal(memory.bytes, 2010)
  memory.release()
  assert.equal(memory.bytes, 0)
})
