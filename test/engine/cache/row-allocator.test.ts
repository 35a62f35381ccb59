import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RowAllocator } from '../../../src/engine/cache/row-allocator.ts'

const NOW = { timeoutMs: 0 }

test('rows are powers of two at multiples of their size and never overlap', async () => {
  const rows = new RowAllocator(4096)
  const taken = [
    await rows.reserve(100, NOW),
    await rows.reserve(300, NOW),
    await rows.reserve(128, NOW),
    await rows.reserve(1025, NOW),
  ]
  assert.deepEqual(taken, [
    { offset: 0, capacity: 128 },
    { offset: 512, capacity: 512 },
    { offset: 128, capacity: 128 },
    { offset: 2048, capacity: 2048 },
  ])
  assert.equal(rows.tokensLeft, 4096 - 128 - 512 - 128 - 2048)
})

test('a session that only just fits gets a row, though no power of two would', async () => {
  const rows = new RowAllocator(1536)
  assert.deepEqual(await rows.reserve(1500, NOW), { offset: 0, capacity: 1536 })
})

test('a session that could never fit is refused at once, with the cure', async () => {
  await assert.rejects(
    new RowAllocator(256).reserve(257, { timeoutMs: 10_000 }),
    (error: Error & { code: string }) =>
      error.code === 'CACHE_TOO_SMALL' && error.message.includes('--attn-cache-tokens'),
  )
})

test('a full cache makes sessions wait, in order where they fit, and gives up after the time they named', async () => {
  const rows = new RowAllocator(256)
  const first = await rows.reserve(256, NOW)
  const large = rows.reserve(256, { timeoutMs: 5000 }),
    small = rows.reserve(1, { timeoutMs: 5000 })
  await assert.rejects(rows.reserve(1, { timeoutMs: 10 }), { code: 'CACHE_FULL' })
  rows.release(first)
  const row = await large
  assert.equal(row.capacity, 256)
  rows.release(row)
  assert.equal((await small).capacity, 128)
})

test('a caller that leaves the queue is not granted anything', async () => {
  const rows = new RowAllocator(128)
  const held = await rows.reserve(1, NOW)
  const gone = new AbortController()
  const waiting = rows.reserve(1, { timeoutMs: 5000, signal: gone.signal })
  gone.abort(new Error('left'))
  // In the same turn: nobody has seen the rejection yet.
  rows.release(held)
  rows.release(held)
  await assert.rejects(waiting, /left/)
  assert.equal(rows.tokensLeft, 128)
})

test('rows that cost less than their length fit beyond the total, as far as there are positions', async () => {
  const rows = new RowAllocator(512, { positions: 2048, costOf: (capacity) => Math.min(capacity, 256) })
  await assert.rejects(rows.reserve(2049, NOW), { code: 'CACHE_TOO_SMALL' })
  const [long] = await Promise.all([rows.reserve(1024, NOW), rows.reserve(700, NOW)])
  assert.equal(rows.tokensLeft, 0)
  await assert.rejects(rows.reserve(1, NOW), { code: 'CACHE_FULL' })
  rows.release(long!)
  assert.equal(rows.tokensLeft, 256)
})
