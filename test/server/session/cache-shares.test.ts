import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CacheShares } from '../../../src/server/session/cache-shares.ts'

const now = async () => 'row'

test('a peer alone may have the whole cache', async () => {
  const shares = new CacheShares()
  for (let i = 0; i < 4; i++) await shares.take('a', 256, 1024, now)
})

test('while another peer waits, a peer keeps to its half and the other is served', async () => {
  const shares = new CacheShares()
  const first = await shares.take('a', 512, 1024, now)
  const room = Promise.withResolvers<string>()
  const waiting = shares.take('b', 512, 1024, () => room.promise)
  await assert.rejects(shares.take('a', 128, 1024, now), { code: 'CACHE_FULL', message: /hold 512 of 1024/ })
  room.resolve('row')
  await waiting
  await shares.take('a', 128, 1024, now)
  first.giveBack()
})

test('what is given back, and a wait that failed, no longer counts', async () => {
  const shares = new CacheShares()
  const { giveBack } = await shares.take('a', 1024, 1024, now)
  giveBack()
  await assert.rejects(
    shares.take('b', 8, 1024, () => Promise.reject(new Error('gave up'))),
    /gave up/,
  )
  const room = Promise.withResolvers<string>()
  const waiting = shares.take('b', 8, 1024, () => room.promise)
  await shares.take('a', 512, 1024, now)
  room.resolve('row')
  await waiting
})
