import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { DialGuard } from '../../../src/swarm/guards/dial-guard.ts'
import { hostClass, networkOf } from '../../../src/swarm/guards/host-class.ts'
import { loadIdentity } from '../../../src/swarm/node/identity.ts'
import { createSwarmNode } from '../../../src/swarm/node/node.ts'
import { silent, startNode } from '../kit.ts'

function admits(listen: string[], trusted: string[], address: string): boolean {
  return new DialGuard({ listen, announce: [], trusted }).admits(multiaddr(address))
}

/** What the guard lets a socket know of `localhost`, or its error's code. */
function resolve(guard: DialGuard, all: boolean): Promise<unknown> {
  return new Promise((resolve) => {
    guard.lookup('localhost', { all, family: 4 }, (error, found) => resolve(error?.code ?? found))
  })
}

test('an address belongs to a network, however it is written', () => {
  const classes = {
    '8.8.8.8': 'public',
    '127.8.9.1': 'loopback',
    '::1': 'loopback',
    '10.1.2.3': 'private 10',
    '172.31.0.1': 'private 172',
    '172.32.0.1': 'public',
    '192.168.0.1': 'private 192',
    '100.64.0.1': 'shared',
    '169.254.169.254': 'link-local',
    '0.0.0.0': 'nowhere',
    '255.255.255.255': 'nowhere',
    '2001:db8::1': 'public',
    'fe80::1': 'link-local v6',
    'fd12::1': 'private v6',
    '::ffff:127.0.0.1': 'loopback',
    '::ffff:7f00:1': 'loopback',
    '64:ff9b::a00:1': 'private 10',
    '::ffff:8.8.8.8': 'public',
  }
  for (const [ip, name] of Object.entries(classes)) assert.equal(hostClass(ip), name, ip)
  assert.equal(networkOf('192.0.2.7'), '192.0.2.7')
  assert.equal(networkOf('2001:db8:0:1::7'), networkOf('2001:db8::1:ffff:0:0:1'))
  assert.notEqual(networkOf('2001:db8:0:1::7'), networkOf('2001:db8:0:2::7'))
})

test('only a node that listens in a private network, or on loopback, is made to dial there', () => {
  const loopback = ['/ip4/127.0.0.1/tcp/4001']
  const [publicly, privately] = [['/ip4/198.51.100.7/tcp/4001'], ['/ip4/192.168.1.2/tcp/4001']]
  const here = '/ip4/127.0.0.1/tcp/6379'
  assert.deepEqual(
    [loopback, publicly, privately].map((listen) => admits(listen, [], here)),
    [true, false, false],
  )
  const nas = '/ip4/192.168.1.9/tcp/22'
  assert.deepEqual(
    [loopback, publicly, privately].map((listen) => admits(listen, [], nas)),
    [false, false, true],
  )
  assert.equal(admits(privately, [], '/ip4/10.0.0.1/tcp/22'), false, 'another private network')
  const contained = new DialGuard({ listen: publicly, announce: privately, trusted: [] })
  assert.equal(contained.admits(multiaddr(nas)), true, 'a container that announces the address of its host')
  assert.equal(admits(loopback, [], '/ip4/203.0.113.1/tcp/22'), true)
  assert.equal(admits(publicly, [], '/unix/tmp%2fsocket'), false)
  assert.equal(admits(loopback, [], '/ip4/0.0.0.0/tcp/22'), false)
  // What the user has named may be dialled, and nothing beside it.
  assert.equal(admits(publicly, loopback, loopback[0]!), true)
  assert.equal(admits(publicly, loopback, here), false)
  // A client goes where its bootstrap peers are.
  assert.deepEqual([admits([], loopback, here), admits([], publicly, here)], [true, false])
})

test('a name is resolved, and what it stands for is judged', async () => {
  const listen = ['/ip4/198.51.100.7/tcp/4001']
  assert.equal(await resolve(new DialGuard({ listen, announce: [], trusted: [] }), true), 'EACCES')
  const trusting = new DialGuard({ listen, announce: [], trusted: ['/dns4/localhost/tcp/4001'] })
  assert.equal(await resolve(trusting, false), '127.0.0.1')
  assert.deepEqual(await resolve(trusting, true), [{ address: '127.0.0.1', family: 4 }])
})

test('a node dials loopback on nobody else’s word, whether by address or by name', async (t) => {
  const target = await startNode(t)
  const port = /\/tcp\/(\d+)/.exec(target.multiaddrs[0]!)![1]
  const node = await createSwarmNode({
    identity: await loadIdentity(),
    listen: [],
    bootstrap: [`/ip4/198.51.100.7/tcp/4001/p2p/${(await startNode(t)).peerId}`],
    logger: silent,
  })
  await node.start()
  t.after(() => node.stop())
  for (const host of ['/ip4/127.0.0.1', '/dns4/localhost']) {
    const multiaddrs = [`${host}/tcp/${port}`]
    await assert.rejects(node.open({ peerId: target.peerId, multiaddrs }, 'info'), { code: 'SWARM_UNREACHABLE' })
  }
  assert.equal(await node.connect(target.multiaddrs[0]!), target.peerId)
})
