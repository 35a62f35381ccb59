import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RowAccounts } from '../../../../src/engine/cache/rows/row-accounts.ts'

const NOW = { timeoutMs: 0 }

test('rows are powers of two at multiples of their size and never overlap', async () => {
  const rows = new RowAccounts({ totalTokens: 4096 })
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
  const rows = new RowAccounts({ totalTokens: 1536 })
  assert.deepEqual(await rows.reserve(1500, NOW), { offset: 0, capacity: 1536 })
})

test('a session that could never fit is refused at once, with the cure', async () => {
  await assert.rejects(
    new RowAccounts({ totalTokens: 256 }).reserve(257, { timeoutMs: 10_000 }),
    (error: Error & { code: string }) =>
      error.code === 'CACHE_TOO_SMALL' && error.message.includes('--attn-cache-tokens'),
  )
})

test('a full cache makes sessions wait, in order where they fit, and gives up after the time they named', async () => {
  const rows = new RowAccounts({ totalTokens: 256 })
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
  const rows = new RowAccounts({ totalTokens: 128 })
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
  const rows = new RowAccounts({ totalTokens: 512, positions: 2048, costOf: (tokens) => Math.min(tokens, 256) })
  await assert.rejects(rows.reserve(2049, NOW), { code: 'CACHE_TOO_SMALL' })
  const [long] = await Promise.all([rows.reserve(1024, NOW), rows.reserve(700, NOW)])
  assert.equal(rows.tokensLeft, 0)
  await assert.rejects(rows.reserve(1, NOW), { code: 'CACHE_FULL' })
  rows.release(long!)
  assert.equal(rows.tokensLeft, 256)
})

const SPARSE = { totalTokens: 1024, positions: 4096, sparse: true }

test('where memory is taken as it is written, a row costs what was written, and never less again', async () => {
  const rows = new RowAccounts(SPARSE)
  const [first] = await Promise.all([rows.reserve(900, NOW), rows.reserve(800, NOW)])
  assert.equal(rows.tokensLeft, 1024 - 2 * 128)
  assert.equal(rows.grow(first!, 128, NOW), undefined)
  assert.equal(rows.tokensLeft, 1024 - 2 * 128)
  assert.equal(rows.grow(first!, 500, NOW), undefined)
  assert.equal(rows.grow(first!, 10, NOW), undefined)
  assert.equal(rows.tokensLeft, 1024 - 128 - 512)
})

test('a new row is let in only where all of it would fit into what is free', async () => {
  const rows = new RowAccounts(SPARSE)
  const first = await rows.reserve(1024, NOW)
  assert.equal(rows.grow(first, 512, NOW), undefined)
  await assert.rejects(rows.reserve(513, NOW), { code: 'CACHE_FULL' })
  const second = await rows.reserve(512, NOW)
  rows.release(first)
  rows.release(second)
  assert.equal(rows.tokensLeft, 1024)
})

test('a row that outgrows the cache waits for others, before new ones, and gives up after its time', async () => {
  const rows = new RowAccounts(SPARSE)
  const [first, second] = [await rows.reserve(1024, NOW), await rows.reserve(800, NOW)]
  assert.equal(rows.grow(first, 896, NOW), undefined)
  await assert.rejects(Promise.resolve(rows.grow(second, 800, { timeoutMs: 10 })), { code: 'CACHE_OUTGROWN' })
  const opening = rows.reserve(1024, { timeoutMs: 5000 })
  const growing = rows.grow(second, 800, { timeoutMs: 5000 })
  rows.release(first)
  await growing
  assert.equal(rows.tokensLeft, 1024 - 896)
  rows.release(second)
  rows.release(await opening)
  assert.equal(rows.tokensLeft, 1024)
})

test('a row that was given back is no other one that lies in its place', async () => {
  const rows = new RowAccounts({ ...SPARSE, totalTokens: 256 })
  const first = await rows.reserve(256, NOW)
  rows.release(first)
  const second = await rows.reserve(256, NOW)
  assert.deepEqual(first, second)
  assert.equal(rows.grow(first, 256, NOW), undefined)
  rows.release(first)
  assert.deepEqual([rows.numSequences, rows.tokensLeft], [1, 128])
})

test('a row that is given back while it waits to grow takes nothing any more', async () => {
  const rows = new RowAccounts(SPARSE)
  const [first, second] = [await rows.reserve(1024, NOW), await rows.reserve(800, NOW)]
  assert.equal(rows.grow(first, 896, NOW), undefined)
  const growing = rows.grow(second, 800, { timeoutMs: 5000 })
  rows.release(second)
  await growing
  rows.release(first)
  assert.equal(rows.tokensLeft, 1024)
})

test('what one client has in excess of all others lies apart, so that rows of others lie side by side', async () => {
  const rows = new RowAccounts({ totalTokens: 128 * 64 })
  const offsets = async (client: string, count: number): Promise<number[]> => {
    const taken: number[] = []
    for (let i = 0; i < count; i++) taken.push((await rows.reserve(128, { ...NOW, client })).offset / 128)
    return taken
  }
  assert.deepEqual(await offsets('a', 1), [0])
  assert.deepEqual(await offsets('greedy', 8), [1, 2, 3, 4, 5, 63, 62, 61])
  assert.deepEqual(await offsets('b', 2), [6, 7])
  assert.deepEqual(await offsets('greedy', 2), [60, 59])
})

test('the rows of a client that is alone, or has about as many as another, lie side by side', async () => {
  const rows = new RowAccounts({ totalTokens: 128 * 64 })
  for (let i = 0; i < 16; i++) assert.equal((await rows.reserve(128, { ...NOW, client: 'alone' })).offset, 128 * i)
  for (let i = 16; i < 36; i++) assert.equal((await rows.reserve(128, { ...NOW, client: 'b' })).offset, 128 * i)
})

test('the last free row is as good as the first: aligned, and nobody else has it', async () => {
  const rows = new RowAccounts({ totalTokens: 128 * 12 })
  await rows.reserve(128, { ...NOW, client: 'a' })
  for (let i = 0; i < 5; i++) await rows.reserve(128, { ...NOW, client: 'greedy' })
  const taken = [await rows.reserve(512, { ...NOW, client: 'greedy' })]
  for (let i = 0; i < 2; i++) taken.push(await rows.reserve(128, { ...NOW, client: 'greedy' }))
  assert.deepEqual(
    taken.map(({ offset }) => offset / 128),
    [8, 7, 6],
  )
  await assert.rejects(rows.reserve(128, { ...NOW, client: 'greedy' }), { code: 'CACHE_FULL' })
})
