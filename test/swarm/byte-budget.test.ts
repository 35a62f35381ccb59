import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteBudget } from '../../src/swarm/byte-budget.ts'

test('a peer holds no more than its part, and what it gives back it can take again', () => {
  const budget = new ByteBudget({ perPeer: 100, total: 1000 })
  assert.ok(budget.tryTake('a', 60))
  assert.ok(!budget.tryTake('a', 41))
  assert.ok(budget.tryTake('b', 100))
  budget.give('a', 60)
  assert.ok(budget.tryTake('a', 100))
  assert.equal(budget.bytes, 200)
})

test('greedy peers leave room for those that come after them, and what they give back goes to who has less', () => {
  const budget = new ByteBudget({ perPeer: 1000, total: 1000 })
  for (let peer = 1; peer <= 4; peer++) while (budget.tryTake(`greedy ${peer}`, 10)) continue
  assert.ok(budget.tryTake('late', 30))
  assert.ok(budget.bytes <= 1000)
  budget.give('greedy 1', 200)
  assert.ok(!budget.tryTake('greedy 1', 200))
  assert.ok(budget.tryTake('late', 90))
})

test('who waits is told in the turn in which there is room, the peer that holds least first', () => {
  const budget = new ByteBudget({ perPeer: 100, total: 200 })
  budget.tryTake('a', 60)
  budget.tryTake('b', 40)
  const told: string[] = []
  budget.wait('a', 40, () => told.push('a'))
  budget.wait('c', 40, () => told.push('c'))
  const cancel = budget.wait('d', 10, () => told.push('d'))
  cancel()
  budget.give('b', 40)
  assert.deepEqual(told, ['c'])
  budget.give('a', 60)
  assert.deepEqual(told, ['c', 'a'])
  budget.give('a', 40)
  budget.give('c', 40)
  assert.equal(budget.bytes, 0)
})

test('work waits for its bytes and gives them back when it fails; what is too large goes alone', async () => {
  const budget = new ByteBudget({ perPeer: 100, total: 200 })
  const first = Promise.withResolvers<void>()
  const running = budget.during('a', 500, () => first.promise)
  let began = false
  const next = budget.during('a', 10, async () => {
    began = true
    throw new Error('it failed')
  })
  await new Promise(setImmediate)
  assert.equal(began, false)
  first.resolve()
  await running
  await assert.rejects(next, /it failed/)
  assert.equal(budget.bytes, 0)
})

test('work that is not wanted any more waits no longer and takes nothing', async () => {
  const budget = new ByteBudget({ perPeer: 100, total: 200 })
  const first = Promise.withResolvers<void>()
  const running = budget.during('a', 100, () => first.promise)
  const over = new AbortController()
  const gone = budget.during('a', 60, assert.fail, over.signal)
  let hasRun = false
  const next = budget.during('a', 60, async () => {
    hasRun = true
  })
  over.abort(new Error('the session is over'))
  await assert.rejects(gone, /the session is over/)
  await assert.rejects(budget.during('b', 1, assert.fail, over.signal), /the session is over/)
  first.resolve()
  await Promise.all([running, next])
  assert.equal(hasRun, true)
  assert.equal(budget.bytes, 0)
})

test('the requests of a peer go in their order, and a large one is not overtaken for ever', () => {
  const budget = new ByteBudget({ perPeer: 100, total: 1000 })
  budget.tryTake('a', 90)
  const told: string[] = []
  budget.wait('a', 80, () => told.push('large'))
  budget.wait('a', 10, () => told.push('small'))
  budget.wait('b', 10, () => told.push('other'))
  budget.give('a', 10)
  assert.deepEqual(told, ['other'])
  budget.give('a', 80)
  assert.deepEqual(told, ['other', 'large', 'small'])
})

test('ten thousand that wait cost each that goes no more than a look at their peers', () => {
  const budget = new ByteBudget({ perPeer: 100, total: 1e6 })
  const peers = Array.from({ length: 20 }, (_, i) => `peer ${i}`)
  for (const peer of peers) budget.tryTake(peer, 100)
  const told = new Map<string, number[]>(peers.map((peer) => [peer, []]))
  for (let i = 0; i < 10_000; i++) {
    const peer = peers[i % 20]!
    budget.wait(peer, 100, () => told.get(peer)!.push(i))
  }
  const began = process.cpuUsage()
  for (let i = 0; i < 500; i++) for (const peer of peers) budget.give(peer, 100)
  const tookMs = process.cpuUsage(began).user / 1000
  for (const [i, peer] of peers.entries())
    assert.deepEqual(
      told.get(peer),
      Array.from({ length: 500 }, (_, turn) => 20 * turn + i),
    )
  // Each would take a millisecond and more if all that wait were looked at.
  assert.ok(tookMs < 1500, `${tookMs.toFixed(0)} ms`)
})
