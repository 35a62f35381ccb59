import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { type TestContext, test } from 'node:test'
import { PetalsError } from '../../../src/base/errors.ts'
import { IdleThread } from '../../../src/base/thread/idle-thread.ts'
import { startWorker } from '../../../src/base/thread/start-worker.ts'
import type { AskedCalls } from './asked-worker.ts'

function open(context: TestContext, idleMs?: number) {
  const workers: Worker[] = []
  const thread = new IdleThread<AskedCalls>({
    start: () => {
      workers.push(startWorker(import.meta.url, 'asked-worker'))
      return workers.at(-1)!
    },
    lost: (reason) => new PetalsError('LOST', reason),
    ...(idleMs !== undefined && { idleMs }),
  })
  context.after(() => thread.end(new PetalsError('OVER', 'the test is over')))
  return { thread, workers }
}

test('the first call starts the thread, and calls share it', async (context) => {
  const { thread, workers } = open(context)
  assert.deepEqual([workers.length, thread.isRunning], [0, false])
  const answers = [thread.call('add', [1, 2]), thread.call('later', 'a'), thread.call('fail', 'BAD').catch(String)]
  assert.deepEqual((await Promise.all(answers)).slice(0, 2), [3, 'A'])
  assert.equal(await thread.call('add', [2, 2]), 4)
  assert.equal(workers.length, 1)
})

test('it ends a while after the last answer, and the next call starts another', async (context) => {
  const { thread, workers } = open(context, 1)
  assert.equal(await thread.call('add', [1, 2]), 3)
  await once(workers[0]!, 'exit')
  assert.equal(thread.isRunning, false)
  assert.equal(await thread.call('add', [2, 2]), 4)
  assert.equal(workers.length, 2)
})

test('where it dies the call rejects, and the next one is answered by another', async (context) => {
  const { thread, workers } = open(context)
  await assert.rejects(thread.call('exit', 3), { code: 'LOST', message: 'the thread ended with code 3' })
  assert.equal(await thread.call('add', [2, 2]), 4)
  assert.equal(workers.length, 2)
})

test('calls are handed over one after another, without those that are aborted while they wait', async (context) => {
  const { thread } = open(context)
  const gone = new AbortController()
  const under = thread.call('later', 'a', gone.signal)
  // Whatever comes behind this one would never be answered.
  const waiting = thread.call('forever', new SharedArrayBuffer(4), gone.signal)
  const last = thread.call('add', [1, 2])
  gone.abort(new Error('left'))
  await Promise.all([under, waiting].map((call) => assert.rejects(call, { message: 'left' })))
  await assert.rejects(thread.call('add', [], gone.signal), { message: 'left' })
  assert.equal(await last, 3)
})

test('once it is ended, calls under way and later ones reject with the reason', async (context) => {
  const { thread, workers } = open(context)
  const state = new SharedArrayBuffer(4)
  const working = assert.rejects(thread.call('forever', state), { code: 'OVER' })
  const over = new PetalsError('OVER', 'it is over')
  await thread.end(over)
  await working
  await assert.rejects(thread.call('add', []), over)
  await thread.end(new PetalsError('AGAIN', 'again'))
  assert.equal(workers.length, 1)
})
