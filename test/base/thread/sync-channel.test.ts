import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  SyncOutbox,
  createSyncChannel,
  postAsleep,
  postSync,
  receiveOrSpare,
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

test('while nothing arrives there is time for other work, and what has arrived comes first', () => {
  const channel = createSyncChannel()
  const order: unknown[] = []
  let left = 3
  const spare = (): boolean => {
    if (left === 0) throw new Error('it would sleep now')
    order.push(`spare ${left--}`)
    if (left === 1) postSync(channel, 'late')
    return true
  }
  postSync(channel, 'early')
  for (let i = 0; i < 2; i++) for (const message of receiveOrSpare(channel.receiver, spare)) order.push(message)
  assert.deepEqual(order, ['early', 'spare 3', 'spare 2', 'late'])
  channel.port.close()
})
