import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { echo, eventually, startNode, stepOf, targetOf } from '../kit.ts'

test('only allowed peers may have something computed; anybody may ask for the rest', async (t) => {
  const [friend, stranger] = [await startNode(t), await startNode(t)]
  const node = await startNode(t, { peers: { allowed: [friend.peerId] } })
  await node.handle('inference', echo)
  await node.handle('contact', (stream) => stream.send({ kind: 'contact', version: '1', nowMs: 1 }))
  const refused = await stranger.open(targetOf(node), 'inference')
  await assert.rejects(refused.receive({ timeoutMs: 20_000 }), { code: 'SWARM_REFUSED' })
  const contact = await stranger.open(targetOf(node), 'contact')
  assert.equal((await contact.receive({ timeoutMs: 20_000 }))?.kind, 'contact')
  const served = await friend.open(targetOf(node), 'inference')
  await served.send(stepOf(1))
  assert.equal((await served.receive({ timeoutMs: 20_000 }))?.kind, 'output')
  const forget = node.peerGuard.allow(stranger.peerId)
  const late = await stranger.open(targetOf(node), 'inference')
  await late.send(stepOf(2))
  assert.equal((await late.receive({ timeoutMs: 20_000 }))?.kind, 'output')
  forget()
})

test('a blocked peer gets no connection, on either way', async (t) => {
  const peer = await startNode(t)
  const node = await startNode(t, { peers: { blocked: [peer.peerId] } })
  await assert.rejects(node.connect(peer.multiaddrs[0]!))
  await peer.connect(node.multiaddrs[0]!).catch(() => undefined)
  await eventually(() => !peer.connections.has(node.peerId))
  assert.equal(node.connections.numPeers, 0)
  await assert.rejects(startNode(t, { peers: { blocked: ['nobody'] } }), { code: 'SWARM_ADDRESS' })
})

test('however often one identity connects, it takes a few connections only, and others get in', async (t) => {
  const [node, many, other] = [await startNode(t), await startNode(t), await startNode(t)]
  const address = multiaddr(node.multiaddrs[0])
  await Promise.allSettled(Array.from({ length: 30 }, () => many.libp2p.dial(address, { force: true })))
  await eventually(() => node.libp2p.getConnections().length <= 8)
  await other.connect(node.multiaddrs[0]!)
  await eventually(() => node.connections.has(other.peerId))
})
