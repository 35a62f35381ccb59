import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventParser, readEvents } from '../../../../src/api/pages/browser/shared/event-stream.ts'

const STREAM =
  ': hi\n\ndata: one\n\nevent: petals.chain\ndata: two\ndata:  three\r\n\r\nid: 4\n\ndata\n\ndata: ü€😀\n\ndata: cut'

const EVENTS = [
  { name: 'message', data: 'one' },
  { name: 'petals.chain', data: 'two\n three' },
  { name: 'message', data: '' },
  { name: 'message', data: 'ü€😀' },
]

test('events are found wherever the stream is cut', () => {
  for (let size = 1; size < STREAM.length; size += 1) {
    const parser = new EventParser()
    const events = []
    for (let i = 0; i < STREAM.length; i += size) events.push(...parser.push(STREAM.slice(i, i + size)))
    assert.deepEqual(events, EVENTS, `pieces of ${size}`)
  }
})

test('characters are whole wherever the bytes are cut, and who stops reading ends the stream', async () => {
  const bytes = new TextEncoder().encode(STREAM)
  const streamOf = (size: number, onCancel = (): void => undefined): ReadableStream<Uint8Array> => {
    let at = 0
    return new ReadableStream({
      pull(controller) {
        if (at >= bytes.length) return controller.close()
        controller.enqueue(bytes.slice(at, (at += size)))
      },
      cancel: onCancel,
    })
  }
  for (const size of [1, 2, 3, 7, 1000]) assert.deepEqual(await Array.fromAsync(readEvents(streamOf(size))), EVENTS)
  const cancelled = Promise.withResolvers<void>()
  for await (const { data } of readEvents(streamOf(1, () => cancelled.resolve()))) if (data === 'one') break
  await cancelled.promise
})
