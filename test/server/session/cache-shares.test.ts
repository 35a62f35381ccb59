import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PetalsError } from '../../../src/base/errors.ts'
import { RowAccounts } from '../../../src/engine/cache/rows/row-accounts.ts'
import { CacheShares, type ShareLimits } from '../../../src/server/session/cache-shares.ts'

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

interface Held {
  readonly session: { usedAt: number; isParked: boolean; giveWay: (error: PetalsError) => void }
  readonly displaced: PetalsError[]
}

/** Shares of a cache of 1024 tokens whose sessions give way in the turn in which they are told. */
function cache(limits?: ShareLimits, timeoutMs = 300) {
  const shares = new CacheShares(limits, 1)
  const rows = new RowAccounts({ totalTokens: 1024 })
  const open = async (peerId: string, tokens: number, usedAt = 0): Promise<Held> => {
    const makeRoom = (): boolean => shares.makeRoom(peerId)
    const share = await shares.take(peerId, tokens, 1024, () => rows.reserve(tokens, { timeoutMs, makeRoom }))
    const displaced: PetalsError[] = []
    const session = {
      usedAt,
      isParked: false,
      giveWay: (error: PetalsError) => {
        displaced.push(error)
        share.giveBack()
        rows.release(share.taken)
      },
    }
    share.heldBy(session)
    return { session, displaced }
  }
  return { open, shares }
}

test('while another waits, the idlest session of the peer that holds most gives way, down to its share', async () => {
  const { open } = cache()
  const greedy: Held[] = []
  for (let i = 0; i < 8; i++) greedy.push(await open('greedy', 128, [3, 1, 2, 7, 6, 5, 4, 0][i]!))
  const modest = [await open('modest', 128), await open('modest', 128), await open('modest', 128)]
  assert.deepEqual(
    greedy.map(({ displaced }) => displaced.length),
    [0, 1, 1, 0, 0, 0, 0, 1],
  )
  assert.equal(greedy[1]!.displaced[0]!.code, 'SESSION_DISPLACED')
  // 640 of the greedy one's are left beside 384: one more gives way to a third peer, which is the greedy one's again.
  const third = await open('third', 128)
  assert.equal(greedy.flatMap(({ displaced }) => displaced).length, 4)
  for (const { displaced } of [...modest, third]) assert.equal(displaced.length, 0)
})

test('nobody gives way to a peer that would hold more, nor one within its share', async () => {
  const { open } = cache()
  const [a, b] = [await open('a', 512), await open('b', 512)]
  const waits = open('c', 256).then(() => 'got')
  const late = new Promise((resolve) => setTimeout(resolve, 50, 'waits'))
  // Of three a share is 341: a and b have more. One of them gives way, the other stays.
  assert.equal(await Promise.race([waits, late]), 'got')
  assert.equal(a.displaced.length + b.displaced.length, 1)
  await assert.rejects(open(a.displaced.length === 1 ? 'b' : 'a', 512), { code: 'CACHE_FULL' })
  assert.equal(a.displaced.length + b.displaced.length, 1)
})

test('a peer has no more sessions, and no more tokens, than it may, waiting ones included', async () => {
  const { open } = cache({ sessions: 2, cacheTokens: 300 })
  await open('a', 128)
  await assert.rejects(open('a', 256), { code: 'CACHE_FULL', message: /128 of the 300/ })
  await open('a', 128)
  await assert.rejects(open('a', 8), { code: 'SWARM_BUSY', message: /2 sessions/ })
  await open('b', 128)
})

test('parked sessions give way to anybody at once, own ones first, then the idlest', async () => {
  const { open } = cache(undefined, 0)
  const held: Held[] = []
  for (const [peerId, usedAt] of [
    ['a', 3],
    ['b', 1],
    ['b', 4],
    ['c', 2],
  ] as const)
    held.push(await open(peerId, 256, usedAt))
  const displaced = (): number[] => held.map((each) => each.displaced.length)
  await assert.rejects(open('b', 256), { code: 'CACHE_FULL' })
  for (const { session } of held) session.isParked = true
  await open('c', 256)
  assert.deepEqual(displaced(), [0, 0, 0, 1])
  await open('d', 256)
  assert.deepEqual(displaced(), [0, 1, 0, 1])
  assert.match(held[1]!.displaced[0]!.message, /was parked/)
  await open('d', 256)
  await open('d', 256)
  assert.deepEqual(displaced(), [1, 1, 1, 1])
})

test('a session that is parked while somebody waits gives way then', async () => {
  const { open } = cache()
  const { session, displaced } = await open('a', 512)
  await open('b', 512)
  const waiting = open('c', 512)
  session.isParked = true
  await waiting
  assert.equal(displaced.length, 1)
})

test("a peer's own parked sessions do not stand in the way of what it may have", async () => {
  const { open, shares } = cache({ sessions: 2, cacheTokens: 300 })
  const [first, second, other] = [await open('a', 128, 1), await open('a', 128, 2), await open('b', 128)]
  for (const { session } of [first, other]) session.isParked = true
  await open('a', 128)
  await assert.rejects(open('a', 128), { code: 'SWARM_BUSY' })
  assert.deepEqual(
    [first, second, other].map(({ displaced }) => displaced.length),
    [1, 0, 0],
  )
  shares.clearParked(new PetalsError('DRAINING', 'bye'))
  assert.deepEqual(
    [second, other].map(({ displaced }) => displaced.length),
    [0, 1],
  )
})
