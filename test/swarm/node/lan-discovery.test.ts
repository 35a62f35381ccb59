import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { createHash, randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import makeMdns from 'multicast-dns'
import { pino } from 'pino'
import type { PeerTarget } from '../../../src/swarm/address.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { LanDiscovery } from '../../../src/swarm/node/lan-discovery.ts'
import { type SwarmNode, createSwarmNode } from '../../../src/swarm/node/node.ts'
import { eventually } from '../../eventually.ts'

// Multicast stays on the loopback interface, and a key of its own keeps other tests out.
const LAN = { interface: '127.0.0.1' }
const LOOPBACK = ['/ip4/127.0.0.1/tcp/0']
const logger = pino({ level: 'silent' })

async function startNode(t: TestContext, swarmKey: Uint8Array, listen: string[]): Promise<SwarmNode> {
  const node = await createSwarmNode({ identity: await loadIdentity(), listen, lan: LAN, swarmKey, logger })
  t.after(() => node.stop())
  await node.start()
  return node
}

test('nodes of one swarm find each other in their network, those of another do not', async (t) => {
  const [one, other] = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(32))]
  const server = await startNode(t, one, LOOPBACK)
  const stranger = await startNode(t, other, LOOPBACK)
  const client = await startNode(t, one, [])
  await client.ready()
  assert.deepEqual(
    client.bootstrapPeers.map(({ peerId }) => peerId),
    [server.peerId],
  )
  assert.ok(client.connections.has(server.peerId))
  const second = await startNode(t, one, LOOPBACK)
  await second.ready()
  assert.ok(second.connections.has(server.peerId))
  assert.ok(!stranger.connections.has(server.peerId))
  await eventually(() => client.bootstrapPeers.some(({ peerId }) => peerId === second.peerId))
})

test('without anybody there a client says so', async (t) => {
  const node = await startNode(t, new Uint8Array(randomBytes(32)), [])
  await assert.rejects(node.ready(), {
    code: 'SWARM_UNREACHABLE',
    message: /no node of this swarm answers in the local network: is one running with --mdns\?/,
  })
})

test('answers that name other machines, other peers or nonsense are passed over', async (t) => {
  const swarmKey = new Uint8Array(randomBytes(32))
  const digest = createHash('sha256').update('petals-node lan ').update(swarmKey).digest('hex')
  const service = `_petals-${digest.slice(0, 8)}._udp.local`
  const found: PeerTarget[] = []
  const discovery = new LanDiscovery(
    { peerId: 'nobody', swarmKey, addresses: () => [], onPeer: (peer) => found.push(peer), logger },
    LAN,
  )
  await discovery.start()
  t.after(() => discovery.stop())
  const junk = createSocket('udp4')
  t.after(() => junk.close())
  await new Promise<void>((resolve) => junk.bind(0, '127.0.0.1', resolve))
  junk.setMulticastInterface('127.0.0.1')
  const mdns = makeMdns({ bind: '0.0.0.0', ...LAN })
  t.after(() => mdns.destroy())
  const peers = await Promise.all(
    Array.from({ length: 24 }, async () => (await createSwarmNode({ identity: await loadIdentity(), logger })).peerId),
  )
  const tell = (peerId: string, texts: string[], type: 'TXT' | 'PTR' = 'TXT'): void =>
    mdns.respond({
      answers: [{ name: service, type: 'PTR', ttl: 1, data: `${peerId}.${service}` }],
      additionals: texts.map((data) => ({ name: `${peerId}.${service}`, type, ttl: 1, data })),
    })
  const [mine, theirs] = peers as [string, string]
  // They are sent again and again, since the group may not have been joined yet when the first go.
  await eventually(() => {
    junk.send(Buffer.from('no packet'), 5353, '224.0.0.251')
    tell(mine, [`dnsaddr=/ip4/192.168.0.1/tcp/80/p2p/${mine}`])
    tell(mine, [`dnsaddr=/ip4/127.0.0.1/tcp/80/p2p/${theirs}`])
    tell(mine, ['dnsaddr=/ip4/127.0.0.1/tcp/80', `dnsaddr=/dns4/localhost/tcp/80/p2p/${mine}`, 'x', ''])
    tell(mine, [`dnsaddr=nonsense/p2p/${mine}`])
    tell(mine, ['other.example'], 'PTR')
    tell('nobody', ['dnsaddr=/ip4/127.0.0.1/tcp/80/p2p/nobody'])
    for (const peerId of peers.slice(2)) tell(peerId, [`dnsaddr=/ip4/127.0.0.1/tcp/80/p2p/${peerId}`])
    return found.length === 16
  })
  assert.deepEqual(
    found.filter(({ peerId }) => [mine, theirs, 'nobody'].includes(peerId)),
    [],
  )
  assert.deepEqual(found[0]!.multiaddrs, [`/ip4/127.0.0.1/tcp/80/p2p/${found[0]!.peerId}`])
})
