import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { PROTOCOL_VERSION } from '../../../src/swarm/protocol-version.ts'
import { Discovery } from '../../../src/swarm/records/discovery.ts'
import type { SwarmNode } from '../../../src/swarm/node/node.ts'
import { type ServerRecord, signRecord } from '../../../src/swarm/records/record.ts'
import { RecordExchange } from '../../../src/swarm/records/record-exchange.ts'
import { eventually, recordOf, startNode, targetOf } from '../kit.ts'

const MODEL = 'tiny-model'

interface Member {
  node: SwarmNode
  exchange: RecordExchange
  discovery: Discovery
}

async function startMember(t: TestContext, bootstrap: string[]): Promise<Member> {
  const node = await startNode(t, { bootstrap })
  const exchange = new RecordExchange(node, { version: '1.2.3' })
  await exchange.start()
  const discovery = new Discovery({ node, exchange, modelKey: MODEL, numBlocks: 6 })
  t.after(async () => {
    discovery.stop()
    await exchange.stop()
    await node.stop()
  })
  return { node, exchange, discovery }
}

async function startHub(t: TestContext): Promise<{ node: SwarmNode; exchange: RecordExchange }> {
  const node = await startNode(t)
  const exchange = new RecordExchange(node, { version: '1.2.3' })
  await exchange.start()
  t.after(() => exchange.stop())
  return { node, exchange }
}

function recordFor({ node }: Member, changes: Partial<ServerRecord> = {}): ServerRecord {
  return recordOf(node.peerId, { multiaddrs: node.multiaddrs, ...changes })
}

const peersIn = ({ discovery }: Member) =>
  discovery.directory
    .records()
    .map(({ peerId }) => peerId)
    .sort()

test('servers and a client that know only a bootstrap node find each other', async (t) => {
  const hub = await startHub(t)
  const [a, b, client] = (await Promise.all([1, 2, 3].map(() => startMember(t, hub.node.multiaddrs)))) as [
    Member,
    Member,
    Member,
  ]
  await Promise.all([a.node.ready(), b.node.ready(), client.node.ready()])
  await a.discovery.announce(recordFor(a))
  await b.discovery.announce(recordFor(b, { start: 2, end: 4 }))
  await client.discovery.refresh()
  const both = [a.node.peerId, b.node.peerId].sort()
  assert.deepEqual(peersIn(client), both)
  assert.deepEqual(client.discovery.holes(), [4, 5])
  await a.discovery.refresh()
  assert.deepEqual(peersIn(a), both)
  assert.equal(hub.exchange.store.signed('').length, 2)
})

test('a change reaches everybody by gossip, through a bootstrap node that serves nothing', async (t) => {
  const hub = await startHub(t)
  const [server, client] = [await startMember(t, hub.node.multiaddrs), await startMember(t, hub.node.multiaddrs)]
  await Promise.all([server.node.ready(), client.node.ready()])
  // Once, and no more: what follows comes by gossip.
  await client.discovery.refresh()
  await server.discovery.announce(recordFor(server, { sequence: 1 }))
  await eventually(() => peersIn(client).length === 1)
  let numChanges = 0
  client.discovery.directory.onChange(() => {
    numChanges += 1
  })
  await server.discovery.announce(recordFor(server, { sequence: 2, state: 'DRAINING' }))
  await eventually(() => client.discovery.directory.get(server.node.peerId)?.state === 'DRAINING')
  await server.discovery.announce(recordFor(server, { sequence: 3, state: 'OFFLINE' }))
  await eventually(() => peersIn(client).length === 0)
  assert.equal(numChanges, 2)
})

test('what a peer hears before it knows of a subscription is asked for again', async (t) => {
  const [server, client] = [await startMember(t, []), await startMember(t, [])]
  const { pubsub } = client.node.libp2p.services
  for (const topic of pubsub.getTopics()) pubsub.unsubscribe(topic)
  await client.node.connect(server.node.multiaddrs[0]!)
  await client.discovery.refresh()
  assert.deepEqual(peersIn(client), [])
  await server.exchange.store.add(await signRecord(recordFor(server), server.node.identity))
  await eventually(() => peersIn(client).length === 1)
})

test('peers that met keep each other after the bootstrap node is gone', async (t) => {
  const hub = await startHub(t)
  const [a, b] = [await startMember(t, hub.node.multiaddrs), await startMember(t, hub.node.multiaddrs)]
  await Promise.all([a.node.ready(), b.node.ready()])
  await a.discovery.announce(recordFor(a, { sequence: 1 }))
  await b.discovery.refresh()
  await eventually(() => b.node.connections.has(a.node.peerId))
  await hub.node.stop()
  await a.discovery.announce(recordFor(a, { sequence: 2, state: 'DRAINING' }))
  await eventually(() => b.discovery.directory.get(a.node.peerId)?.state === 'DRAINING')
})

test('a server that was killed is marked, and its record stays until it expires', async (t) => {
  const [a, b] = [await startMember(t, []), await startMember(t, [])]
  await a.discovery.announce(recordFor(a))
  await b.exchange.ask(targetOf(a.node), MODEL)
  await a.node.stop()
  await eventually(() => b.discovery.directory.isGone(a.node.peerId))
  assert.deepEqual(peersIn(b), [a.node.peerId])
})

test('a block that no known record covers is found over the DHT', async (t) => {
  const hub = await startNode(t)
  const [server, client] = [await startMember(t, hub.multiaddrs), await startMember(t, hub.multiaddrs)]
  await Promise.all([server.node.ready(), client.node.ready()])
  // This hub answers no info, and the two are not connected: only the DHT knows both.
  await server.discovery.announce(recordFor(server, { end: 6, blockDigests: [] }))
  await eventually(() => {
    void client.discovery.refresh()
    return peersIn(client).length === 1
  })
})

test('where all known servers of a block have failed, the DHT is asked for others', async (t) => {
  const hub = await startNode(t)
  const [server, client] = [await startMember(t, hub.multiaddrs), await startMember(t, hub.multiaddrs)]
  await Promise.all([server.node.ready(), client.node.ready()])
  const key = await loadIdentity()
  const invented = peerIdFromPrivateKey(key).toString()
  await client.exchange.store.add(await signRecord(recordOf(invented, { end: 6, blockDigests: [] }), key))
  assert.deepEqual(client.discovery.holes(), [])
  await server.discovery.announce(recordFor(server, { end: 6, blockDigests: [] }))
  await client.discovery.refresh()
  assert.deepEqual(peersIn(client), [invented], 'this hub answers no info, and nothing has failed yet')
  client.discovery.noteFailure(invented)
  await eventually(() => {
    void client.discovery.refresh()
    return peersIn(client).includes(server.node.peerId)
  })
})

test('info answers with its version and all records, however many frames that takes', async (t) => {
  const [a, b] = [await startMember(t, []), await startMember(t, [])]
  const blockDigests = Array.from({ length: 400 }, () => 'f'.repeat(64))
  for (let i = 0; i < 6; i += 1) {
    const key = await loadIdentity()
    const record = recordOf(peerIdFromPrivateKey(key).toString(), { end: 400, blockDigests })
    await a.exchange.store.add(await signRecord(record, key))
  }
  const answer = await b.exchange.ask(targetOf(a.node), '')
  const expected = { version: '1.2.3', protocol: PROTOCOL_VERSION, numNew: 0, gossips: false }
  assert.deepEqual(answer, { ...expected, numRecords: 6, numNew: 6 })
  // The one model that b takes part in: soon a has heard of that. What b has is not sent again.
  await eventually(async () => (await b.exchange.ask(targetOf(a.node), MODEL)).gossips)
  assert.deepEqual(await b.exchange.ask(targetOf(a.node), MODEL), { ...expected, numRecords: 0, gossips: true })
  assert.deepEqual(await b.exchange.ask(targetOf(a.node), 'other'), { ...expected, numRecords: 0 })
  assert.equal(b.node.verifier.numVerified, 6)
})

test('a peer may announce only its own, valid record', async (t) => {
  const [a, b] = [await startMember(t, []), await startMember(t, [])]
  const foreign = await signRecord(recordFor(a), a.node.identity)
  await assert.rejects(b.exchange.tell(targetOf(a.node), foreign), {
    code: 'SWARM_RECORD',
    message: /announces a record of/,
  })
  const old = await signRecord(recordFor(b, { issuedAt: Date.now() - 300_000 }), b.node.identity)
  await assert.rejects(b.exchange.tell(targetOf(a.node), old), { code: 'SWARM_RECORD_TIME' })
  await assert.rejects(b.exchange.tell(targetOf(a.node), Uint8Array.of(1, 2, 3)), { code: 'SWARM_RECORD' })
  assert.equal(a.exchange.store.signed('').length, 0)
  await b.exchange.tell(targetOf(a.node), await signRecord(recordFor(b), b.node.identity))
  assert.equal(a.exchange.store.signed('').length, 1)
})

test('discovery refreshes by itself until it is stopped, and a caller can leave a refresh', async (t) => {
  const a = await startMember(t, [])
  await a.discovery.announce(recordFor(a))
  const node = await startNode(t, { bootstrap: a.node.multiaddrs })
  const exchange = new RecordExchange(node, { version: '1' })
  await exchange.start()
  const discovery = new Discovery({ node, exchange, modelKey: MODEL, numBlocks: 2, refreshIntervalMs: 50 })
  t.after(() => exchange.stop())
  t.after(() => discovery.stop())
  discovery.start()
  await eventually(() => discovery.directory.records().length === 1)
  const reason = new Error('leave')
  await assert.rejects(discovery.refresh({ signal: AbortSignal.abort(reason) }), reason)
  await assert.rejects(discovery.announce(recordOf(node.peerId, { end: 0 })), { code: 'SWARM_RECORD' })
})
