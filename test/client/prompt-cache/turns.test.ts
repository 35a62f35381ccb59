import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Turns } from '../../../src/client/prompt-cache/turns.ts'

/** Work that says when it begins, and ends when it is told to. */
function worker() {
  const log: string[] = []
  const ends = new Map<string, () => void>()
  const work = (name: string) => () => {
    log.push(name)
    return new Promise<string>((resolve) => {
      ends.set(name, () => resolve(name))
    })
  }
  const end = async (name: string): Promise<void> => {
    ends.get(name)!()
    await nextTurn()
  }
  return { log, work, end }
}

test('forks go beside each other, steps alone, in the order in which they came', async () => {
  const turns = new Turns()
  const { log, work, end } = worker()
  assert.ok(turns.isFree)
  const all = [
    turns.alone(work('step 1')),
    turns.beside(work('fork 1'), undefined),
    turns.beside(work('fork 2'), undefined),
    turns.alone(work('step 2')),
    turns.beside(work('fork 3'), undefined),
  ]
  await nextTurn()
  assert.deepEqual(log, ['step 1'])
  await end('step 1')
  assert.deepEqual(log, ['step 1', 'fork 1', 'fork 2'])
  await end('fork 2')
  assert.equal(log.length, 3)
  await end('fork 1')
  assert.deepEqual(log.slice(3), ['step 2'])
  await end('step 2')
  assert.deepEqual(log.slice(4), ['fork 3'])
  assert.ok(!turns.isFree)
  await end('fork 3')
  assert.deepEqual(await Promise.all(all), ['step 1', 'fork 1', 'fork 2', 'step 2', 'fork 3'])
  assert.ok(turns.isFree)
})

test("who fails, and who does not wait any longer, is in nobody else's way", async () => {
  const turns = new Turns()
  const { log, work, end } = worker()
  const step = turns.alone(work('step'))
  const gone = new AbortController()
  const left = turns.beside(work('left'), gone.signal)
  const next = assert.rejects(
    turns.alone(() => Promise.reject(new Error('failed'))),
    /failed/,
  )
  gone.abort(new Error('gone'))
  await assert.rejects(left, /gone/)
  await end('step')
  await step
  await next
  assert.deepEqual(log, ['step'])
  assert.ok(turns.isFree)
})
