import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Caller } from '../../../src/api/access/caller.ts'
import { ApiError } from '../../../src/api/errors/api-error.ts'
import { FairQueue } from '../../../src/api/queue/fair-queue.ts'

const never = new AbortController().signal

/** Lets callers in and out, and remembers who was let in. */
class Bench {
  readonly queue: FairQueue
  readonly started: string[] = []
  readonly #callers = new Map<string, Caller>()

  constructor(slots: number, maxWaiting = 100) {
    this.queue = new FairQueue({ slots, maxWaiting })
  }

  /** `who` is a caller's name; the result resolves to what lets the request out. */
  enter(who: string, slots = 1, signal: AbortSignal = never): Promise<() => void> {
    const caller = this.#callers.get(who) ?? new Caller(who)
    this.#callers.set(who, caller)
    const entered = this.queue.enter({ caller, model: 'm', slots }, signal)
    void entered.then(
      () => this.started.push(who),
      () => undefined,
    )
    return entered
  }
}

/** Lets promises that can settle do so. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

test('requests run up to the number of slots, and others start as these end', async () => {
  const bench = new Bench(2)
  const [first] = await Promise.all([bench.enter('a'), bench.enter('a')])
  const third = bench.enter('a')
  await settle()
  assert.deepEqual([bench.queue.numRunning, bench.queue.numWaiting], [2, 1])
  assert.deepEqual([bench.queue.numRunningOf('m'), bench.queue.numWaitingOf('m')], [2, 1])
  assert.equal(bench.queue.numRunningOf('other'), 0)
  first!()
  first!()
  ;(await third)()
  assert.deepEqual([bench.queue.numRunning, bench.queue.numWaiting], [1, 0])
})

test('it is the turn of whoever has the fewest slots, however many requests another has sent before', async () => {
  const bench = new Bench(2)
  const leave = await Promise.all([bench.enter('greedy'), bench.enter('greedy')])
  const waiting = [...Array.from({ length: 5 }, () => bench.enter('greedy')), bench.enter('modest'), bench.enter('shy')]
  leave[0]!()
  leave[1]!()
  await settle()
  assert.deepEqual(bench.started, ['greedy', 'greedy', 'modest', 'shy'])
  for (const entered of waiting) void entered.then((out) => out())
  await Promise.all(waiting)
  assert.equal(bench.queue.numRunning, 0)
})

test('a request of many slots waits for them, and those behind it wait as well', async () => {
  const bench = new Bench(4)
  const one = await bench.enter('a', 3)
  const large = bench.enter('b', 4)
  const small = bench.enter('c', 1)
  await settle()
  assert.deepEqual(bench.started, ['a'])
  one()
  const out = await large
  assert.deepEqual(bench.started, ['a', 'b'])
  out()
  ;(await small)()
  // More than there are is as many as there are.
  ;(await bench.enter('a', 100))()
  assert.equal(bench.queue.numRunning, 0)
})

test('a request that is given up while it waits makes room, also for those behind it', async () => {
  const bench = new Bench(2)
  const out = await bench.enter('a')
  const stop = new AbortController()
  const large = bench.enter('b', 2, stop.signal)
  const small = bench.enter('c')
  await settle()
  assert.deepEqual(bench.started, ['a'])
  stop.abort(new Error('gone'))
  await assert.rejects(large, /gone/)
  ;(await small)()
  out()
  await assert.rejects(bench.enter('a', 1, AbortSignal.abort(new Error('gone before'))), /gone before/)
  assert.deepEqual([bench.queue.numRunning, bench.queue.numWaiting], [0, 0])
})

test('beyond its bound a request is turned away with a time to come back', async () => {
  const bench = new Bench(1, 2)
  const out = await bench.enter('a')
  const waiting = [bench.enter('a'), bench.enter('b')]
  await assert.rejects(bench.enter('c'), (error) => {
    assert.ok(error instanceof ApiError)
    assert.deepEqual([error.details.status, error.code], [429, 'rate_limit_exceeded'])
    assert.ok(error.details.retryAfterSeconds! >= 1)
    return true
  })
  out()
  for (const entered of waiting) void entered.then((leave) => leave())
  await Promise.all(waiting)
})
