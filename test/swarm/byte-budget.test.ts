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
