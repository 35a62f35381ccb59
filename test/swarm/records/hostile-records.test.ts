import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import type { SwarmNode } from '../../../src/swarm/node/node.ts'
import { Discovery } from '../../../src/swarm/records/discovery.ts'
import { type ServerRecord, signRecord } from '../../../src/swarm/records/record.ts'
import { eventually, recordOf, startNode, targetOf } from '../kit.ts'

const MODEL = 'tiny-model'

interface Member {
  readonly node: SwarmNode
  readonly discovery: Discovery
}

/** A node that takes part in a model, with whom the bootstrap peer has heard of it. */
async function startMember(t: TestContext, bootstrap: string[] = []): Promise<Member> {
  const node = await startNode(t, { bootstrap })
  await node.records.start(node)
  const discovery = new Discovery({ node, exchange: node.records, modelKey: MODEL, numBlocks: 2 })
  t.after(async () => {
    discovery.stop()
    await node.records.stop(node)
  })
  await node.ready()
  return { node, discovery }
}

/** Signed records of so many invented peers. */
async function invent(count: number, changes: Partial<ServerRecord> = {}): Promise<Uint8Array[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const key = await loadIdentity()
      return signRecord(recordOf(peerIdFromPrivateKey(key).toString(), changes), key)
    }),
  )
}

const ownRecord = ({ node }: Member, changes: Partial<ServerRecord> = {}) =>
  recordOf(node.peerId, { multiaddrs: node.multiaddrs, ...changes })

test('1040 invented servers from one connection hide nobody, neither here nor from those who ask', async (t) => {
  const hub = await startMember(t)
  const servers = [await startMember(t, hub.node.multiaddrs), await startMember(t, hub.node.multiaddrs)]
  // They expire first, as servers that were announced before the flood do.
  for (const server of servers) await server.discovery.announce(ownRecord(server, { expiresAt: Date.now() + 200_000 }))
  const attacker = await startMember(t, hub.node.multiaddrs)
  const { pubsub } = attacker.node.libp2p.services
  const topic = `/petals-node/records/1.0.0/${MODEL}`
  await eventually(() => pubsub.getSubscribers(topic).length > 0)
  const flood = await invent(1040, { throughput: 1e6, expiresAt: Date.now() + 500_000 })
  const { verifier } = hub.node
  const before = verifier.numVerified
  for (const record of flood) await pubsub.publish(topic, record)
  // Gossip may lose some where a machine is busy; far more than may be introduced arrive.
  await eventually(() => verifier.numVerified - before >= 600)
  assert.ok(hub.discovery.directory.numPeers <= 256 + 2, `${hub.discovery.directory.numPeers} peers are kept`)
  const client = await startMember(t, hub.node.multiaddrs)
  await client.discovery.refresh()
  for (const { discovery } of [hub, client, ...servers]) {
    if (discovery !== hub.discovery) await discovery.refresh()
    const known = new Set(discovery.directory.records().map(({ peerId }) => peerId))
    for (const { node } of servers) assert.ok(known.has(node.peerId))
  }
  // A server that comes after the flood is known, too.
  const late = await startMember(t, hub.node.multiaddrs)
  await late.discovery.announce(ownRecord(late))
  await client.discovery.refresh()
  assert.ok(client.discovery.directory.get(late.node.peerId) !== undefined)
})

test('64 invented models from one connection leave room for the models of others', async (t) => {
  const hub = await startMember(t)
  const attacker = await startMember(t, hub.node.multiaddrs)
  const { identity, records } = attacker.node
  for (let i = 0; i < 64; i++) {
    await records.tell(targetOf(hub.node), await signRecord(ownRecord(attacker, { modelKey: `model-${i}` }), identity))
  }
  assert.ok(hub.node.records.store.modelKeys.length <= 1 + 8, hub.node.records.store.modelKeys.join(' '))
  const honest = await startMember(t, hub.node.multiaddrs)
  const record = ownRecord(honest, { modelKey: 'another-model' })
  await honest.node.records.tell(targetOf(hub.node), await signRecord(record, honest.node.identity))
  assert.equal(hub.node.records.store.signed('another-model').length, 1)
})

test('what one peer introduces is bounded in bytes', async (t) => {
  const [asker, asked] = [await startMember(t), await startMember(t)]
  const blockDigests = Array.from({ length: 700 }, () => 'f'.repeat(64))
  for (const record of await invent(128, { end: 700, blockDigests })) await asked.node.records.store.add(record)
  const { store } = asker.node.records
  const { numRecords, numNew } = await asker.node.records.ask(targetOf(asked.node), MODEL)
  assert.equal(numRecords, 128)
  assert.ok(numNew > 50 && store.numBytes <= 4 << 20, `${numNew} records of ${store.numBytes} bytes`)
})

test('a record with a false signature ends the connection that it came by, asked for or not', async (t) => {
  const [asker, liar] = [await startMember(t), await startMember(t)]
  const [forged] = await invent(1)
  forged![forged!.byteLength - 1]! ^= 1
  await liar.node.unhandle('info')
  await liar.node.handle('info', async (stream) => {
    await stream.receive()
    await stream.send({ kind: 'info', version: '0', protocol: '3.0.0', records: [forged!], gossips: true })
  })
  await assert.rejects(asker.node.records.ask(targetOf(liar.node), MODEL))
  await eventually(() => !asker.node.connections.has(liar.node.peerId))
  await assert.rejects(liar.node.records.tell(targetOf(asker.node), forged!))
  await eventually(() => !asker.node.connections.has(liar.node.peerId))
  // Another one, since gossip takes a while to come back after a connection that was cut.
  const gossiper = await startMember(t, asker.node.multiaddrs)
  const { pubsub } = gossiper.node.libp2p.services
  const topic = `/petals-node/records/1.0.0/${MODEL}`
  await eventually(() => pubsub.getSubscribers(topic).length > 0)
  await pubsub.publish(topic, forged!)
  await eventually(() => !asker.node.connections.has(gossiper.node.peerId))
})

test('who has a map asks for what has changed only', async (t) => {
  const [asker, asked] = [await startMember(t), await startMember(t)]
  const identity = await loadIdentity()
  const peerId = peerIdFromPrivateKey(identity).toString()
  const changing = (sequence: number) => signRecord(recordOf(peerId, { sequence }), identity)
  for (const record of [...(await invent(40)), await changing(1)]) await asked.node.records.store.add(record)
  const ask = () => asker.node.records.ask(targetOf(asked.node), MODEL)
  const { bytesReceived: start } = asker.node.traffic.info
  assert.equal((await ask()).numRecords, 41)
  const { bytesReceived: full } = asker.node.traffic.info
  assert.equal((await ask()).numRecords, 0)
  const { bytesReceived: nothing } = asker.node.traffic.info
  await asked.node.records.store.add(await changing(2))
  const { numRecords, numNew } = await ask()
  assert.deepEqual({ numRecords, numNew }, { numRecords: 1, numNew: 1 })
  assert.ok(nothing - full < (full - start) / 50, `${full - start} bytes at first, then ${nothing - full}`)
})
