import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError } from '../../../src/base/errors.ts'
import { echo, eventually, outputOf, positionOf, startNode, stepOf as step, targetOf } from '../kit.ts'

test('a node that does not listen opens streams to itself, and no connection', async (t) => {
  const node = await startNode(t, { listen: [] })
  await node.handle('inference', echo)
  const stream = await node.open(targetOf(node), 'inference')
  assert.equal(stream.remotePeer, node.peerId)
  for (const bytes of [10, 100_000, 9 << 20]) {
    await stream.send(step(3, bytes))
    assert.deepEqual(await stream.receive(), outputOf(3, bytes))
  }
  assert.equal(node.numServedStreams.inference, 1)
  assert.equal(node.libp2p.getConnections().length, 0)
  assert.equal(node.traffic.inference.bytesSent, 0)
  await stream.end()
  assert.equal(await stream.receive(), null)
  await stream.closed
  await eventually(() => node.numServedStreams.inference === 0)
})

test('what arrives is a copy, so that either side may give its own memory away', async (t) => {
  const node = await startNode(t, { listen: [] })
  await node.handle('inference', echo)
  const stream = await node.open(targetOf(node), 'inference')
  const sent = step(1, 200_000)
  await stream.send(sent)
  sent.hidden.data.fill(9)
  assert.deepEqual(await stream.receive(), outputOf(1, 200_000))
})

test('a side that does not read holds the other back, and all comes once it does', async (t) => {
  const node = await startNode(t, { listen: [] })
  const go = Promise.withResolvers<void>()
  await node.handle('inference', async (stream) => {
    await go.promise
    await echo(stream)
  })
  const stream = await node.open(targetOf(node), 'inference')
  let sent = 0
  const sends = Array.from({ length: 24 }, (_, i) =>
    stream.send(step(i, 1 << 20)).then(() => {
      sent += 1
    }),
  )
  await eventually(() => sent > 4)
  await sleep(100)
  assert.ok(sent < 16, `${sent} MB were taken by a reader that does not read`)
  go.resolve()
  for (let i = 0; i < 24; i += 1) assert.equal(positionOf(await stream.receive()), i)
  await Promise.all(sends)
})

test('a fault, an abort and the end of the node reach the other side as over a network', async (t) => {
  const node = await startNode(t, { listen: [] })
  const lost: (string | undefined)[] = []
  await node.handle('inference', async (stream) => {
    const message = await stream.receive().catch((error: PetalsError) => {
      lost.push(error.code)
    })
    const position = message?.kind === 'step' ? message.position : undefined
    if (position === 1) throw new PetalsError('CACHE_FULL', 'no room')
    if (position === 2) stream.abort(new Error('gone'))
    await stream.closed
  })
  const open = () => node.open(targetOf(node), 'inference')
  const [failing, aborted, left, stopped] = [await open(), await open(), await open(), await open()]
  await failing.send(step(1))
  await assert.rejects(failing.receive(), { code: 'CACHE_FULL' })
  await aborted.send(step(2))
  await assert.rejects(aborted.receive(), { code: 'SWARM_STREAM_LOST' })
  await assert.rejects(aborted.send(step(3)), { code: 'SWARM_STREAM_LOST' })
  left.abort(new Error('enough'))
  await eventually(() => lost.length === 1)
  await node.stop()
  await assert.rejects(stopped.receive(), { code: 'SWARM_STREAM_LOST' })
  await eventually(() => lost.length === 2)
  assert.deepEqual(lost, ['SWARM_STREAM_LOST', 'SWARM_STREAM_LOST'])
  await assert.rejects(open(), { code: 'SWARM_STATE' })
})

test('frames to and fro leave timers and signals their turn', async (t) => {
  const node = await startNode(t, { listen: [] })
  await node.handle('inference', echo)
  const stream = await node.open(targetOf(node), 'inference')
  const ticks: number[] = []
  const timer = setInterval(() => ticks.push(performance.now()), 1)
  const until = performance.now() + 20_000
  while (ticks.length < 10 && performance.now() < until) {
    await stream.send(step(0, 8))
    await stream.receive()
  }
  clearInterval(timer)
  assert.ok(ticks.length >= 10, `${ticks.length} ticks`)
})
