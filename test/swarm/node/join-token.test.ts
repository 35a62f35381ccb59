import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { decodeJoinToken, encodeJoinToken, isJoinToken, resolveJoining } from '../../../src/swarm/node/join-token.ts'

const PEER = '12D3KooWQDd7tHiyRav5mNNEFA74GGHGSEtgoUNBhJZkgQBCr4Jo'
const ADDRESSES = [
  `/ip4/192.0.2.7/tcp/24640/p2p/${PEER}`,
  `/ip6/2001:db8::1/tcp/24640/p2p/${PEER}`,
  `/dns4/peer.example/tcp/24640/p2p/${PEER}`,
]

test('a token holds addresses, and a key if there is one', () => {
  const swarmKey = new Uint8Array(randomBytes(32))
  const open = encodeJoinToken({ addresses: ADDRESSES })
  assert.match(open, /^petals-[\w-]+$/)
  assert.ok(isJoinToken(open) && !isJoinToken(ADDRESSES[0]!))
  assert.deepEqual(decodeJoinToken(open), { addresses: ADDRESSES })
  const token = encodeJoinToken({ addresses: ADDRESSES, swarmKey })
  assert.deepEqual(decodeJoinToken(token), { addresses: ADDRESSES, swarmKey })
  assert.ok(encodeJoinToken({ addresses: [ADDRESSES[0]!], swarmKey }).length < 130, 'short enough for one line')
})

test('a damaged token is refused, wherever the damage is, and what is in it is not told', () => {
  const token = encodeJoinToken({ addresses: ADDRESSES, swarmKey: new Uint8Array(randomBytes(32)) })
  const damaged = [
    token.slice(0, -1),
    token.slice(0, 40),
    'petals-',
    'petals-AAAA',
    `${token}AAAA`,
    'petals-'.padEnd(5000, 'A'),
  ]
  for (let at = 'petals-'.length; at < token.length - 1; at++)
    damaged.push(token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1))
  for (const text of damaged)
    assert.throws(() => decodeJoinToken(text), {
      code: 'SWARM_TOKEN',
      message: /^the join token cannot be read: [^/]*$/,
    })
})

test('tokens stand among addresses; keys of different swarms are refused', () => {
  const [one, two] = [new Uint8Array(randomBytes(32)), new Uint8Array(randomBytes(32))]
  const token = encodeJoinToken({ addresses: ADDRESSES.slice(0, 2), swarmKey: one })
  assert.deepEqual(resolveJoining([ADDRESSES[2]!, token, ADDRESSES[0]!]), {
    addresses: [ADDRESSES[2], ADDRESSES[0], ADDRESSES[1]],
    swarmKey: one,
  })
  assert.deepEqual(resolveJoining([token], one).swarmKey, one)
  assert.deepEqual(resolveJoining([], two), { addresses: [], swarmKey: two })
  assert.throws(() => resolveJoining([token], two), { code: 'SWARM_KEY', message: /two different swarm keys/ })
})

test('what is no address of a peer makes no token', () => {
  for (const addresses of [[], ['/ip4/192.0.2.7/tcp/1'], Array(17).fill(ADDRESSES[0]) as string[]])
    assert.throws(() => encodeJoinToken({ addresses }), { code: 'SWARM_ADDRESS' })
})
