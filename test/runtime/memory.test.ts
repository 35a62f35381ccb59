import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CPU } from '../../src/runtime/device.ts'
import { threadRuntime } from '../../src/runtime/thread-runtime.ts'

test('a heap takes bytes, gives them back, and copies pieces from pitch to pitch', () => {
  const heap = threadRuntime.heap(CPU)
  const memory = heap.allocate(64)
  heap.write(
    memory,
    Uint8Array.from({ length: 32 }, (_, i) => i),
  )
  // Two pieces of 3 bytes, 8 bytes apart, go to where they are 4 bytes apart.
  heap.copy([{ from: memory + 1n, fromPitch: 8, to: memory + 40n, toPitch: 4, width: 3, rows: 2 }])
  const result = new Uint8Array(8)
  heap.read(memory + 40n, result)
  assert.deepEqual([...result], [1, 2, 3, 0, 9, 10, 11, 0])
  heap.free(memory)
})
