import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StreamMuxer } from '@libp2p/interface'
import { guardFrames, guardedYamux, updateWindowsLazily } from '../../../src/swarm/guards/yamux.ts'
import { eventually, startNode, stepOf, targetOf } from '../kit.ts'

test('a yamux frame that claims 4 GB closes the connection at once', async (t) => {
  const [victim, attacker] = [await startNode(t), await startNode(t)]
  await attacker.connect(victim.multiaddrs[0]!)
  const [connection] = attacker.libp2p.getConnections()
  const { muxer } = connection as unknown as { muxer: { send(data: Uint8Array): void } }
  const lie = Buffer.alloc(1000)
  lie.writeUInt32BE(99, 4)
  lie.writeUInt32BE(0xffffffff, 8)
  const started = performance.now()
  muxer.send(lie)
  await eventually(() => victim.connections.numPeers === 0 && attacker.connections.numPeers === 0)
  // The connection monitor would need 5 s.
  assert.ok(performance.now() - started < 4000)
})

test('small messages are not answered with window updates, large transfers still flow', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await b.handle('inference', async (stream) => {
    for (let frame = await stream.receive(); frame !== null; frame = await stream.receive()) void frame
  })
  const stream = await a.open(targetOf(b), 'inference')
  const { muxer } = b.libp2p.getConnections()[0] as unknown as { muxer: { send(data: Uint8Array): boolean } }
  const send = muxer.send.bind(muxer)
  let numUpdates = 0
  muxer.send = (data) => {
    const [, type, highFlags, lowFlags] = data.subarray(0, 12)
    if (type === 1 && highFlags === 0 && lowFlags === 0) numUpdates += 1
    return send(data)
  }
  for (let i = 0; i < 12; i += 1) await stream.send(stepOf(i, 8192))
  await stream.end()
  await stream.closed
  const small = numUpdates
  const bulk = await a.open(targetOf(b), 'inference')
  await bulk.send(stepOf(0, 4 << 20))
  await bulk.end()
  await bulk.closed
  assert.equal(small, 0)
  assert.ok(numUpdates > 0 && numUpdates < 40, `${numUpdates} updates for 4 MB`)
})

test('a muxer with other internals is refused instead of running unguarded', () => {
  const other = {} as StreamMuxer
  assert.throws(() => guardFrames(other, 1), /internals/)
  assert.throws(() => updateWindowsLazily(other), /internals/)
  assert.equal(guardedYamux({ streamOptions: { maxStreamWindowSize: 1 << 20 } })().protocol, '/yamux/1.0.0')
})
