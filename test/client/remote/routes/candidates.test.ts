import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type AddressInfo, type Socket, createServer } from 'node:net'
import { test, type TestContext } from 'node:test'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { SwarmClient } from '../../../../src/client/blocks/swarm-client.ts'
import { Candidates, ROUND_MS } from '../../../../src/client/remote/routes/candidates.ts'
import type { RouteRequest } from '../../../../src/client/remote/routes/route-request.ts'
import { findRouteAround } from '../../../../src/client/remote/routes/routing.ts'
import { loadIdentity } from '../../../../src/swarm/node/identity.ts'
import type { SwarmNode } from '../../../../src/swarm/node/node.ts'
import { type ServerRecord, signRecord } from '../../../../src/swarm/records/record.ts'
import { PROTOCOL_VERSION } from '../../../../src/swarm/protocol-version.ts'
import { eventually, recordOf as anyRecordOf, silent, startNode } from '../../../swarm/kit.ts'

const REQUEST: RouteRequest = { start: 0, end: 2, tokens: 1, avoid: new Set(), digests: new Map() }
const NONE: ReadonlySet<string> = new Set()

const recordOf = (peerId: string, changes: Partial<ServerRecord> = {}) =>
  anyRecordOf(peerId, { protocol: PROTOCOL_VERSION, ...changes })

const find = (records: readonly ServerRecord[]) => findRouteAround(records, REQUEST, NONE)

/** A port that takes connections and never says a word. */
async function blackHole(t: TestContext): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
}

async function signed(changes: Partial<ServerRecord>): Promise<Uint8Array> {
  const key = await loadIdentity()
  return signRecord(recordOf(peerIdFromPrivateKey(key).toString(), changes), key)
}

test('black holes that promise everything delay a client and keep it from nothing', async (t) => {
  const [hub, server] = [await startNode(t), await startNode(t)]
  await hub.records.start(hub)
  const hole = await blackHole(t)
  for (let i = 0; i < 8; i++) await hub.records.store.add(await signed({ multiaddrs: [hole], throughput: 1e6 }))
  const honest = recordOf(server.peerId, { multiaddrs: server.multiaddrs, throughput: 1 })
  await hub.records.store.add(await signRecord(honest, server.identity))
  const client = await SwarmClient.connect({
    bootstrap: hub.multiaddrs,
    modelKey: 'tiny-model',
    numBlocks: 2,
    logger: silent,
  })
  t.after(() => client.close())
  assert.equal(client.records().length, 9)
  const around = (records: readonly ServerRecord[]) => findRouteAround(records, REQUEST, client.avoided())
  const route = await client.route(around)
  assert.deepEqual(
    route.map((span) => span.server.peerId),
    [server.peerId],
  )
})

test('a killed server is out of the routes at once, though its record lives on', async (t) => {
  const hub = await startNode(t)
  await hub.records.start(hub)
  const servers = [await startNode(t), await startNode(t)]
  for (const [i, { peerId, multiaddrs, identity }] of servers.entries())
    await hub.records.store.add(
      await signRecord(recordOf(peerId, { multiaddrs, throughput: 1000 - 500 * i }), identity),
    )
  const bootstrap = hub.multiaddrs
  const client = await SwarmClient.connect({ bootstrap, modelKey: 'tiny-model', numBlocks: 2, logger: silent })
  t.after(() => client.close())
  const route = () => client.route((records) => findRouteAround(records, REQUEST, client.avoided()))
  const used = async () => (await route()).map(({ server }) => server.peerId)
  const [first, second] = servers as [SwarmNode, SwarmNode]
  // Whoever is reached first serves until the faster one is reached as well.
  await eventually(async () => (await used())[0] === first.peerId)
  await first.stop()
  await eventually(() => !client.node.connections.has(first.peerId))
  assert.deepEqual(await used(), [second.peerId])
  assert.equal(client.records().length, 2)
})

/** A swarm of which some servers answer; notes how many are being dialled at a time. */
function swarm(servers: ServerRecord[], answers: (peerId: string) => boolean | 'never') {
  const reached = new Set<string>()
  const dialled: string[] = []
  const failed: string[] = []
  const candidates = new Candidates({
    records: () => servers,
    isReached: (peerId) => reached.has(peerId),
    onFailure: (peerId) => failed.push(peerId),
    dial: async ({ peerId }, signal) => {
      dialled.push(peerId)
      if (answers(peerId) === 'never') await once(signal, 'abort')
      if (answers(peerId) !== true) throw new Error(`nobody at ${peerId}`)
      reached.add(peerId)
    },
  })
  return { candidates, dialled, failed, reached }
}

test('of 60 servers that never answer ever more are dialled at a time, and the one behind is found', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const mute = Array.from({ length: 60 }, (_, i) => recordOf(`mute ${i}`, { throughput: 1000 }))
  const { candidates, dialled } = swarm([...mute, recordOf('honest', { throughput: 1 })], (peerId) =>
    peerId === 'honest' ? true : 'never',
  )
  const found = candidates.route(find)
  const numDialled: number[] = []
  for (let round = 0; round < 4; round++) {
    await nextTurn()
    numDialled.push(dialled.length)
    t.mock.timers.tick(ROUND_MS)
  }
  assert.deepEqual(numDialled, [1, 5, 21, 61])
  assert.deepEqual(
    (await found).map(({ server }) => server.peerId),
    ['honest'],
  )
})

test('where all is well only the best route is dialled, and nothing once it is connected', async () => {
  const servers = [
    recordOf('slow', { throughput: 1 }),
    recordOf('fast', { throughput: 1000 }),
    recordOf('half', { end: 1, blockDigests: [] }),
  ]
  const { candidates, dialled } = swarm(servers, () => true)
  assert.deepEqual(
    (await candidates.route(find)).map(({ server }) => server.peerId),
    ['fast'],
  )
  await candidates.route(find)
  assert.deepEqual(dialled, ['fast'])
})

test('a server that refuses costs no wait, and a connected one is taken in its stead', async () => {
  const servers = ['a', 'b', 'c'].map((peerId, i) => recordOf(peerId, { throughput: 1000 - i * 300 }))
  const { candidates, dialled, failed, reached } = swarm(servers, (peerId) => peerId === 'c')
  reached.add('b')
  assert.deepEqual(
    (await candidates.route(find)).map(({ server }) => server.peerId),
    ['b'],
  )
  assert.deepEqual([dialled, failed], [['a'], ['a']])
})

/** A record of one block. */
function part(peerId: string, start: number, throughput: number): ServerRecord {
  return recordOf(peerId, { start, end: start + 1, throughput, blockDigests: [] })
}

test('a chain is put together of servers that answer', async () => {
  const servers = [part('a', 0, 9), part('b', 0, 5), part('c', 1, 9), part('d', 1, 5)]
  const { candidates } = swarm(servers, (peerId) => 'bc'.includes(peerId))
  assert.deepEqual(
    (await candidates.route(find)).map(({ server }) => server.peerId),
    ['b', 'c'],
  )
})

test('where nobody answers the reason is told, and where nobody is known as well', async () => {
  const one = swarm([recordOf('a')], () => false)
  await assert.rejects(one.candidates.route(find), /nobody at a/)
  const two = swarm([recordOf('a'), recordOf('b')], () => false)
  await assert.rejects(two.candidates.route(find), {
    code: 'SWARM_UNREACHABLE',
    message: /none of 2 servers.*nobody at/,
  })
  await assert.rejects(swarm([], () => true).candidates.route(find), { code: 'NO_ROUTE' })
})

test('where one span is gone for good and the others are there, a search ends at once', async () => {
  const here = recordOf('here', { start: 0, end: 1 })
  const gone = recordOf('gone', { start: 1, end: 2 })
  const dialled: string[] = []
  let looks = 0
  const candidates = new Candidates({
    records() {
      looks++
      return [here, gone]
    },
    isReached: (peerId) => peerId === 'here',
    dial: async ({ peerId }) => {
      dialled.push(peerId)
      throw new Error('refused')
    },
    onFailure: () => undefined,
  })
  await assert.rejects(candidates.route(find), { message: 'refused' })
  assert.deepEqual(dialled, ['gone'])
  assert.ok(looks < 20, `${looks} looks at the records: it went round and round`)
})
