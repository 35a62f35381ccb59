import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { type TestContext, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { PetalsError } from '../../../src/base/errors.ts'
import { startWorker } from '../../../src/base/thread/start-worker.ts'
import { Thread } from '../../../src/base/thread/thread.ts'
import type { AskedCalls } from './asked-worker.ts'

const lost = (reason: string) => new PetalsError('LOST', reason)

function start(context: TestContext, workerData?: unknown): Thread<AskedCalls> {
  const thread = new Thread<AskedCalls>(startWorker(import.meta.url, 'asked-worker', { workerData }), lost)
  context.after(() => thread.end())
  return thread
}

describe('a thread that is asked by calls', () => {
  it('answers each call, whether or not it has started yet', async (context) => {
    const thread = start(context)
    const early = [thread.call('later', 'a'), thread.call('add', [1, 2]), thread.call('later', 'b')]
    assert.deepEqual(await Promise.all(early), ['A', 3, 'B'])
    await thread.ready()
    assert.equal(await thread.call('add', [40, 2]), 42)
  })

  it('reports on the way to an answer, in order and to the caller alone', async (context) => {
    const thread = start(context)
    const first: number[] = []
    const second: number[] = []
    const answers = await Promise.all([
      thread.call('count', 3, { onReport: (at) => first.push(at) }),
      thread.call('count', 2, { onReport: (at) => second.push(at) }),
      thread.call('count', 1),
    ])
    assert.deepEqual(
      [answers, first, second],
      [
        ['counted', 'counted', 'counted'],
        [1, 2, 3],
        [1, 2],
      ],
    )
  })

  it('hands memory over in both directions', async (context) => {
    const bytes = new Uint8Array(1000)
    const answer = start(context).call('fill', { bytes, value: 7 }, { transfer: [bytes.buffer] })
    assert.equal(bytes.byteLength, 0)
    assert.deepEqual(await answer, new Uint8Array(1000).fill(7))
  })

  it('passes on the codes of errors; one without a code is INTERNAL, and the thread goes on', async (context) => {
    const thread = start(context)
    await assert.rejects(thread.call('fail', 'TOO_BAD'), {
      name: 'PetalsError',
      code: 'TOO_BAD',
      message: 'on purpose',
    })
    await assert.rejects(thread.call('fail', undefined), { name: 'TypeError', code: 'INTERNAL', message: 'plain' })
    assert.equal(await thread.call('add', [1]), 1)
  })

  it('rejects where arguments or an answer cannot be sent, and goes on', async (context) => {
    const thread = start(context)
    await assert.rejects(thread.call('add', [(() => 1) as never]), { name: 'DataCloneError' })
    await assert.rejects(thread.call('answerFunction', undefined), /could not be cloned/)
    assert.equal(await thread.call('add', [1]), 1)
  })

  it('that cannot prepare itself says why, to all who ask', async (context) => {
    const thread = start(context, 'unusable')
    const early = thread.call('add', [1])
    await assert.rejects(early, { code: 'TOO_BAD', message: 'not today' })
    await assert.rejects(thread.ready(), { code: 'TOO_BAD' })
    await assert.rejects(thread.call('add', [1]), { code: 'TOO_BAD' })
  })

  for (const [how, end, message] of [
    ['exits', (thread: Thread<AskedCalls>) => thread.call('exit', 3), 'the thread ended with code 3'],
    ['crashes', (thread: Thread<AskedCalls>) => thread.call('crash', undefined), 'out of the blue'],
  ] as const)
    it(`that ${how} rejects what waits and whatever is asked later`, async (context) => {
      const thread = start(context)
      await Promise.all([end(thread), end(thread)].map((call) => assert.rejects(call, { code: 'LOST', message })))
      await assert.rejects(thread.call('add', [1]), { code: 'LOST', message })
      await assert.rejects(thread.ready(), { code: 'LOST', message })
    })

  it('is ended before it has started, in the middle of a call, and twice', async (context) => {
    await start(context).end()
    const thread = start(context)
    const state = new SharedArrayBuffer(4)
    const busy = thread.call('forever', state)
    const refused = assert.rejects(busy, { code: 'CLOSED' })
    await Atomics.waitAsync(new Int32Array(state), 0, 0).value
    await thread.end(new PetalsError('CLOSED', 'enough'))
    await refused
    await thread.end()
    await assert.rejects(thread.call('add', [1]), { code: 'CLOSED' })
  })

  it('that was abandoned answers nobody any more', async (context) => {
    const thread = start(context)
    const waiting = thread.call('later', 'a')
    thread.abandon(new PetalsError('STOPPED', 'somebody else failed'))
    await assert.rejects(waiting, { code: 'STOPPED' })
  })

  it('does not keep the process alive when it is idle', async () => {
    const child = join(import.meta.dirname, 'idle-child.ts')
    const { stdout } = await promisify(execFile)(process.execPath, [child], { timeout: 60_000 })
    assert.equal(stdout, 'DONE')
  })
})
