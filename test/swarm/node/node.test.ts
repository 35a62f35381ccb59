import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { RemoteError } from '../../../src/swarm/frames/remote-error.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { RPC_LIMITS } from '../../../src/swarm/limits.ts'
import { createSwarmNode } from '../../../src/swarm/node/node.ts'
import { eventually, LOOPBACK, silent, startNode, targetOf } from '../kit.ts'

const identity = await loadIdentity()
const NOBODY = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'

test('a node starts, stops, and starts again, each as often as one likes', async (t) => {
  const node = await createSwarmNode({ identity, listen: LOOPBACK, logger: silent })
  t.after(() => node.stop())
  assert.deepEqual(node.multiaddrs, [])
  assert.throws(() => node.libp2p, { code: 'SWARM_STATE' })
  await node.handle('probe', async () => undefined)
  for (let round = 0; round < 2; round += 1) {
    await Promise.all([node.start(), node.start()])
    assert.match(node.multiaddrs[0]!, new RegExp(`^/ip4/127.0.0.1/tcp/[1-9]\\d*/p2p/${node.peerId}$`))
    const other = await startNode(t)
    const stream = await other.open(targetOf(node), 'probe')
    assert.equal(await stream.receive(), null)
    await stream.end()
    await Promise.all([node.stop(), node.stop()])
    assert.equal(node.connections.numPeers, 0)
  }
})

for (const [field, address] of [
  ['listen', 'nonsense'],
  ['listen', '/ip4/127.0.0.1'],
  ['announce', '/ip4/1.2.3.4/udp/5'],
  ['bootstrap', 'tcp://a:1'],
  ['bootstrap', '/ip4/127.0.0.1/tcp/4001'],
] as const) {
  test(`${address} for ${field} is refused by name`, async () => {
    await assert.rejects(
      createSwarmNode({ identity, logger: silent, [field]: [address] }),
      (error: Error & { code: string }) => error.code === 'SWARM_ADDRESS' && error.message.includes(address),
    )
  })
}

test('a port in use is named, and the node can be started once it is free', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as { port: number }
  const node = await createSwarmNode({ identity, listen: [`/ip4/127.0.0.1/tcp/${port}`], logger: silent })
  t.after(() => node.stop())
  await assert.rejects(node.start(), { code: 'SWARM_LISTEN', message: new RegExp(`${port}: the port is in use`) })
  await new Promise((resolve) => {
    server.close(resolve)
  })
  await node.start()
  assert.equal(node.multiaddrs.length, 1)
})

test('a node that announces an address tells that and not where it listens', async (t) => {
  const node = await startNode(t, { announce: ['/ip4/192.0.2.7/tcp/31337'] })
  assert.deepEqual(node.multiaddrs, [`/ip4/192.0.2.7/tcp/31337/p2p/${node.peerId}`])
})

test('an unreachable bootstrap peer is named, and the node still runs', async (t) => {
  const node = await startNode(t, { bootstrap: [NOBODY] })
  await assert.rejects(node.ready(), {
    code: 'SWARM_UNREACHABLE',
    message: /peer …\w{8} at 127\.0\.0\.1 port 9 cannot be reached: nothing listens there \(ECONNREFUSED\)/,
  })
  assert.equal(node.multiaddrs.length, 1)
})

test('a bootstrap peer that answers under another identity is called so', async (t) => {
  const other = await startNode(t)
  const peerId = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'
  const named = other.multiaddrs.map((address) => address.replace(other.peerId, peerId))
  const node = await startNode(t, { bootstrap: named })
  await assert.rejects(node.ready(), {
    code: 'SWARM_HANDSHAKE',
    message: new RegExp(`peer ${other.peerId} answers there, not peer ${peerId}`),
  })
})

test('a node dials its bootstrap peer when that comes up later, and again when it comes back', async (t) => {
  const bootstrap = await createSwarmNode({ identity: await loadIdentity(), listen: LOOPBACK, logger: silent })
  t.after(() => bootstrap.stop())
  await bootstrap.start()
  const [address] = bootstrap.multiaddrs as [string]
  const sameAgain = await createSwarmNode({
    identity: bootstrap.identity,
    listen: [address.split('/p2p/')[0]!],
    logger: silent,
  })
  t.after(() => sameAgain.stop())
  await bootstrap.stop()
  const node = await startNode(t, { bootstrap: [address] })
  await assert.rejects(node.ready(), { code: 'SWARM_UNREACHABLE' })
  await sameAgain.start()
  await eventually(() => node.connections.has(bootstrap.peerId))
  await node.ready()
  await sameAgain.stop()
  await eventually(() => !node.connections.has(bootstrap.peerId))
  await sameAgain.start()
  await eventually(() => node.connections.has(bootstrap.peerId))
})

test('opening a stream fails with its reason', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await assert.rejects(a.open(targetOf(a), 'inference'), { code: 'SWARM_PROTOCOL' })
  await assert.rejects(a.open(targetOf(b), 'inference'), { code: 'SWARM_PROTOCOL', message: /inference/ })
  const peerId = NOBODY.split('/').at(-1)!
  await assert.rejects(a.open({ peerId, multiaddrs: [NOBODY] }, 'inference'), {
    code: 'SWARM_UNREACHABLE',
    message: /ECONNREFUSED/,
  })
  await assert.rejects(a.open({ peerId: 'nobody', multiaddrs: [] }, 'inference'), { code: 'SWARM_ADDRESS' })
  await assert.rejects(a.connect(a.multiaddrs[0]!), { code: 'SWARM_SELF' })
  assert.equal(await a.connect(b.multiaddrs[0]!), b.peerId)
  const reason = new Error('changed my mind')
  await assert.rejects(a.open(targetOf(b), 'inference', { signal: AbortSignal.abort(reason) }), reason)
})

test('a caller leaves a dial that nobody answers with the reason of its own signal', async (t) => {
  const server = createServer(() => undefined)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  const node = await startNode(t)
  const controller = new AbortController()
  const reason = new Error('enough')
  const opening = node.open(
    { peerId: NOBODY.split('/').at(-1)!, multiaddrs: [`/ip4/127.0.0.1/tcp/${port}`] },
    'probe',
    controller,
  )
  setTimeout(() => controller.abort(reason), 30)
  await assert.rejects(opening, reason)
})

test('a peer with too many streams open is told so, and may come again later', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await b.handle(
    'probe',
    async (stream) => {
      await stream.receive()
    },
    { ...RPC_LIMITS.probe, maxStreams: 2 },
  )
  const open = () => a.open(targetOf(b), 'probe')
  const held = [await open(), await open()]
  const third = await open()
  await assert.rejects(third.receive(), (error) => error instanceof RemoteError && error.code === 'SWARM_BUSY')
  await third.end()
  for (const stream of held) {
    await stream.end()
    await stream.closed
  }
  await eventually(() => b.numServedStreams.probe === 0)
  assert.equal(
    await (async () => {
      const stream = await open()
      await stream.end()
      return stream.receive()
    })(),
    null,
  )
})

test('more nodes of one address than libp2p lets in by itself get in at once', async (t) => {
  const hub = await startNode(t)
  const nodes = await Promise.all(Array.from({ length: 12 }, () => startNode(t, { listen: [] })))
  await Promise.all(nodes.map((node) => node.connect(hub.multiaddrs[0]!)))
  await eventually(() => hub.connections.numPeers === nodes.length)
})
