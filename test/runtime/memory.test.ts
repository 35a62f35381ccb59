import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
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

test('a large piece is zeros, does not count for the garbage collector, and goes back at once', async () => {
  const heap = threadRuntime.heap(CPU)
  const bytes = 64 << 20
  const before = process.memoryUsage()
  const memory = heap.allocate(bytes)
  assert.ok(process.memoryUsage().external - before.external < bytes / 4)
  const end = new Uint8Array(4).fill(1)
  heap.read(memory + BigInt(bytes - 4), end)
  assert.deepEqual([...end], [0, 0, 0, 0])
  heap.write(memory + BigInt(bytes - 4), Uint8Array.of(1, 2, 3, 4))
  heap.read(memory + BigInt(bytes - 4), end)
  assert.deepEqual([...end], [1, 2, 3, 4])
  heap.free(memory)
  if (process.platform !== 'linux') return
  const places = await readFile('/proc/self/maps', 'utf8')
  const isMapped = places.split('\n').some((line) => {
    const [from, to] = line
      .split(' ')[0]!
      .split('-')
      .map((place) => BigInt(`0x${place || 0}`))
    return from! <= memory && memory < to!
  })
  assert.equal(isMapped, false)
})
