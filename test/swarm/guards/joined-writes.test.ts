import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import type { MessageStream } from '@libp2p/interface'
import { joinWrites } from '../../../src/swarm/guards/joined-writes.ts'
import { echo, outputOf, startNode, stepOf, targetOf } from '../kit.ts'

test('a message is one write to the socket, its answer too, and large ones come whole', async (t) => {
  const [server, client] = [await startNode(t), await startNode(t, { listen: [] })]
  await server.handle('inference', echo)
  const stream = await client.open(targetOf(server), 'inference')
  await stream.send(stepOf(1))
  await stream.receive()
  const write = t.mock.method(Socket.prototype, 'write')
  const before = write.mock.callCount()
  for (let i = 0; i < 10; i++) {
    await stream.send(stepOf(i))
    assert.deepEqual(await stream.receive(), outputOf(i))
  }
  const steps = write.mock.calls.slice(before).filter(({ arguments: [data] }) => (data as Uint8Array).length > 1024)
  const pieces = write.mock.calls.slice(before).filter(({ arguments: [data] }) => (data as Uint8Array).length <= 2)
  assert.deepEqual([steps.length, pieces.length], [20, 0])
  const largeFrom = write.mock.callCount()
  await stream.send(stepOf(3, 3 << 20))
  assert.deepEqual(await stream.receive(), outputOf(3, 3 << 20))
  // No packet's length or tag goes alone; window updates are short messages of their own.
  const sizes = write.mock.calls.slice(largeFrom).map(({ arguments: [data] }) => (data as Uint8Array).length)
  assert.deepEqual([sizes.filter((size) => size <= 18), Math.max(...sizes) > 100_000], [[], true])
})

test('the steps of many sessions at once are one write, and all are answered', async (t) => {
  const [server, client] = [await startNode(t), await startNode(t, { listen: [] })]
  await server.handle('inference', echo)
  const streams = await Promise.all(Array.from({ length: 6 }, () => client.open(targetOf(server), 'inference')))
  for (const stream of streams) {
    await stream.send(stepOf(0))
    await stream.receive()
  }
  const cork = t.mock.method(Socket.prototype, 'cork')
  const uncork = t.mock.method(Socket.prototype, 'uncork')
  const sent = streams.map((stream, i) => stream.send(stepOf(i)))
  assert.deepEqual([cork.mock.callCount(), uncork.mock.callCount()], [1, 0], 'all wait for each other')
  await Promise.all(sent)
  for (const [i, stream] of streams.entries()) assert.deepEqual(await stream.receive(), outputOf(i))
  assert.equal(cork.mock.callCount(), uncork.mock.callCount())
})

test('what many sessions send in one turn of the event loop is one write to the socket', async (t) => {
  const [server, client] = [await startNode(t), await startNode(t, { listen: [] })]
  await server.handle('inference', echo)
  const streams = []
  for (let i = 0; i < 8; i++) streams.push(await client.open(targetOf(server), 'inference'))
  for (const stream of streams) await stream.send(stepOf(0))
  for (const stream of streams) assert.deepEqual(await stream.receive(), outputOf(0))
  const one = t.mock.method(Socket.prototype, '_write')
  // Node's own, which its types leave out.
  const many = t.mock.method(Socket.prototype as unknown as { _writev: () => void }, '_writev')
  const sent = Promise.all(streams.map((stream, i) => stream.send(stepOf(i))))
  await new Promise((resolve) => process.nextTick(resolve))
  assert.equal(one.mock.callCount() + many.mock.callCount(), 1)
  await sent
  for (const [i, stream] of streams.entries()) assert.deepEqual(await stream.receive(), outputOf(i))
})

test('a connection with other internals is refused instead of being left as it is', () => {
  assert.throws(() => joinWrites({} as MessageStream), /this release of libp2p/)
})
