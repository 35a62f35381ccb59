import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  SyncOutbox,
  createSyncChannel,
  postAsleep,
  postSync,
  receiveSync,
} from '../../../src/base/thread/sync-channel.ts'

test('what is posted in one turn of the event loop arrives in order and wakes the thread once', async () => {
  const channel = createSyncChannel()
  const woken = () => new Int32Array(channel.signal)[0]
  const received = () => [...receiveSync<unknown>(channel.receiver, 0)]
  const outbox = new SyncOutbox(channel)
  const bytes = new Uint8Array([1, 2, 3])
  outbox.post({ a: 1 })
  outbox.post({ bytes }, [bytes.buffer])
  await Promise.resolve().then(() => outbox.post('later in the same turn'))
  assert.deepEqual([received(), woken(), bytes.byteLength], [[], 0, 3], 'nothing is sent before the turn is over')
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(received(), [{ a: 1 }, { bytes: new Uint8Array([1, 2, 3]) }, 'later in the same turn'])
  assert.deepEqual([woken(), bytes.byteLength], [1, 0])
  outbox.post('first')
  outbox.flush()
  postSync(channel, 'second')
  postAsleep(channel, 'third')
  assert.deepEqual([received(), woken()], [['first', 'second', 'third'], 3])
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([received(), woken()], [[], 3], 'nothing twice')
  channel.port.close()
})
