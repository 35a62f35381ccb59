import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSyncChannel, postSync, receiveSync } from '../../../src/base/thread/sync-channel.ts'
import { type ChooserLink, LOST } from '../../../src/engine/ends/chooser-link.ts'
import { ChooserThreads } from '../../../src/engine/ends/chooser-threads.ts'
import { Choosers, waitFor } from '../../../src/engine/ends/choosers.ts'
import { choosingSeconds } from '../../../src/engine/ends/choosing-seconds.ts'
import type { ChooserCommand, EndsEvent, RowTask } from '../../../src/engine/ends/messages.ts'

const OPTIONS = { maxNewTokens: 5 }

function choose(textId: number, row: number): RowTask {
  return { command: { type: 'choose', taskId: 100 + textId, textId }, row, numRows: 1 }
}

test('what belongs to a text of another thread goes there, and its rows with it', () => {
  const choosers = new Choosers()
  const { receiver, port, signal } = createSyncChannel()
  const answered = new SharedArrayBuffer(4)
  const received = (): ChooserCommand[] => [...receiveSync<ChooserCommand>(receiver, 0)]
  choosers.add({ sender: { port, signal }, answered })
  choosers.obey({ type: 'open-text', textId: 1, chooser: 0, options: OPTIONS, ids: [0] })
  choosers.obey({ type: 'open-text', textId: 2, chooser: 1, options: OPTIONS, ids: [0] })
  assert.deepEqual(
    received().map((command) => command.type === 'open-text' && command.textId),
    [2],
  )
  const logits = new Float32Array(new SharedArrayBuffer(24))
  logits.set([0, 1, 0, 1, 0, 0])
  const events: EndsEvent[] = []
  const post = (event: EndsEvent) => void events.push(event)
  const readers = choosers.answer([choose(2, 1), choose(1, 0)], { logits, outputSize: 3, headSeconds: 0.5 }, { post })
  assert.deepEqual(
    events.map((event) => event.type === 'done' && [event.taskId, event.result]),
    [[101, { tokenId: 1, logprob: undefined }]],
  )
  const [rows, ...others] = received()
  assert.deepEqual(others, [])
  assert.ok(rows?.type === 'rows')
  assert.deepEqual(rows.tasks, [choose(2, 1)])
  assert.equal(rows.logits.buffer.constructor, SharedArrayBuffer, 'not copied')
  Atomics.store(new Int32Array(answered), 0, 1)
  waitFor(readers)
  choosers.obey({ type: 'close-text', textId: 2 })
  choosers.obey({ type: 'close-text', textId: 1 })
  assert.deepEqual(
    received().map(({ type }) => type),
    ['close-text'],
  )
  port.close()
})

test('threads start as texts come that take long, and each text goes to the one with the least to do', async () => {
  const links: ChooserLink[] = []
  const threads = new ChooserThreads(3, {
    onStarted: (link) => links.push(link),
    onEvents: () => undefined,
    onFailed: (error) => assert.fail(error),
  })
  const places = [0.004, 0.004, 0.004, 0.004, 0.004, 0.004].map((seconds) => threads.place(seconds))
  assert.deepEqual(places, [0, 0, 1, 1, 0, 2])
  assert.equal(links.length, 2, 'never more than it was told')
  threads.leave(1, 0.004)
  threads.leave(1, 0.004)
  assert.equal(threads.place(0.004), 1)
  await threads.close()
  for (const { answered, sender } of links) {
    assert.equal(Atomics.load(new Int32Array(answered), 0), LOST, 'nobody waits for it')
    sender.port.close()
  }
})

test('a thread that dies is told, and nobody waits for what it was sent', async () => {
  const failed = Promise.withResolvers<Error>()
  let link: ChooserLink | undefined
  const threads = new ChooserThreads(2, {
    onStarted: (started) => (link = started),
    onEvents: () => undefined,
    onFailed: (error) => failed.resolve(error),
  })
  threads.place(1)
  postSync(link!.sender, { type: 'rows', tasks: 'none' })
  await failed.promise
  await threads.close()
  waitFor([{ chooser: link!, upTo: 1 }])
  link!.sender.port.close()
})

test('what choosing takes follows from what is asked for', () => {
  const [greedy, topK, topP, logprobs] = [{}, { temperature: 1, topK: 50 }, { temperature: 1 }, { logprobs: true }].map(
    (options) => choosingSeconds({ ...OPTIONS, ...options }, 128_000),
  ) as [number, number, number, number]
  assert.ok(greedy < topK && topK < topP)
  assert.equal(topP, logprobs)
  assert.equal(choosingSeconds({ ...OPTIONS, numBeams: 4 }, 128_000), 4 * logprobs)
})
