import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peerAt, placeOf, reasonOf } from '../../../src/swarm/node/unreachable-text.ts'

const PEER = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'

test('an address is told as a host and a port, and as it is where it has no such form', () => {
  for (const [address, place] of [
    [`/ip4/192.0.2.1/tcp/24640/p2p/${PEER}`, '192.0.2.1 port 24640'],
    ['/ip6/2001:db8::1/tcp/1', '2001:db8::1 port 1'],
    ['/dns4/node.example/tcp/24640', 'node.example port 24640'],
    ['/ip4/192.0.2.1/udp/1/quic-v1', '/ip4/192.0.2.1/udp/1/quic-v1'],
  ] as const)
    assert.equal(placeOf(address), place)
  assert.equal(peerAt({ peerId: PEER, multiaddrs: [] }), 'peer …4kx6nXTN without known addresses')
})

test("the system's codes are told in words, each reason once", () => {
  const refused = new Error('connection error 192.0.2.1:9: connect ECONNREFUSED 192.0.2.1:9')
  const unknown = new Error('getaddrinfo ENOTFOUND node.example')
  assert.equal(reasonOf(refused), 'nothing listens there (ECONNREFUSED)')
  assert.equal(
    reasonOf(new AggregateError([refused, unknown, refused])),
    'nothing listens there (ECONNREFUSED); no such name is known (ENOTFOUND)',
  )
  assert.equal(reasonOf(new Error('All multiaddr dials failed')), 'All multiaddr dials failed')
})
