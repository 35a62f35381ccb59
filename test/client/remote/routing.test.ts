import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NoRouteError, type RouteRequest, arithmeticClass, findRoute } from '../../../src/client/remote/routing.ts'
import { PROTOCOL_VERSION } from '../../../src/swarm/protocol-version.ts'
import type { ServerRecord } from '../../../src/swarm/records/record-fields.ts'

function server(peerId: string, start: number, end: number, more: Partial<ServerRecord> = {}): ServerRecord {
  return {
    peerId,
    multiaddrs: [],
    modelKey: 'm',
    start,
    end,
    state: 'ONLINE',
    dtype: 'float32',
    quant: 'none',
    device: 'cpu',
    cacheTokensLeft: 1000,
    cacheTokens: 1000,
    throughput: 100,
    version: '1',
    protocol: PROTOCOL_VERSION,
    adapters: [],
    sequence: 1,
    issuedAt: 0,
    expiresAt: 1,
    blockDigests: Array.from({ length: end - start }, (_, i) => `digest ${start + i}`),
    ...more,
  }
}

function route(records: ServerRecord[], request: Partial<RouteRequest> = {}): string {
  const spans = findRoute(records, { start: 0, end: 8, tokens: 10, avoid: new Set(), digests: new Map(), ...request })
  return spans.map(({ server, start, end }) => `${server.peerId} ${start}:${end}`).join(', ')
}

test('the fewest hops win, and a server may be used for part of its span', () => {
  assert.equal(route([server('a', 0, 4), server('b', 4, 8), server('c', 2, 6)]), 'a 0:4, b 4:8')
  assert.equal(route([server('a', 0, 5), server('b', 3, 8)]).split(', ').length, 2)
  assert.equal(route([server('a', 0, 8), server('b', 0, 4), server('c', 4, 8)]), 'a 0:8')
})

test('servers that are not online, avoided, or short of cache are passed over', () => {
  const spare = server('spare', 0, 8, { throughput: 1 })
  assert.equal(route([server('a', 0, 8, { state: 'DRAINING' }), spare]), 'spare 0:8')
  assert.equal(route([server('a', 0, 8), spare], { avoid: new Set(['a']) }), 'spare 0:8')
  assert.equal(route([server('a', 0, 8, { cacheTokensLeft: 5 }), spare]), 'spare 0:8')
  assert.equal(route([server('a', 0, 8, { cacheTokensLeft: 5 })]), 'a 0:8')
})

test('a replacement shares the arithmetic where it can', () => {
  const gpu = server('gpu', 0, 8, { device: 'cuda', dtype: 'float16', throughput: 1e5 }),
    cpu = server('cpu', 0, 8, { throughput: 1 })
  assert.equal(route([gpu, cpu]), 'gpu 0:8')
  assert.equal(route([gpu, cpu], { arithmetic: 'cpu/float32/none' }), 'cpu 0:8')
  assert.equal(route([gpu], { arithmetic: 'cpu/float32/none' }), 'gpu 0:8')
  const int8 = server('int8', 0, 8, { kvDType: 'int8', throughput: 1e5 })
  assert.equal(route([int8, cpu], { arithmetic: arithmeticClass(cpu) }), 'cpu 0:8')
  assert.equal(route([{ ...cpu, throughput: 1e6 }, int8], { arithmetic: arithmeticClass(int8) }), 'int8 0:8')
})

test('different weights are never mixed in one session', () => {
  const other = { blockDigests: ['x', 'x', 'x', 'x', 'x'] }
  assert.throws(() => route([server('a', 0, 5), server('b', 3, 8, other)]), /different weights/)
  assert.equal(route([server('a', 0, 5), server('b', 3, 8, other), server('c', 4, 8)]), 'a 0:5, c 5:8')
  assert.equal(
    route([server('a', 0, 8), server('b', 0, 8, { throughput: 1, blockDigests: Array(8).fill('y') as string[] })], {
      digests: new Map([[3, 'y']]),
    }),
    'b 0:8',
  )
})

test('the blocks that nobody holds are named', () => {
  assert.throws(
    () => route([server('a', 0, 3), server('b', 5, 8)]),
    (error: NoRouteError) => {
      assert.deepEqual(error.missingBlocks, [3, 4])
      assert.match(error.message, /blocks 3, 4 of 0:8/)
      return true
    },
  )
})

test('the own span costs no hop and comes first, unless it lengthens the way through others', () => {
  const own = { ownPeer: 'own' }
  const slow = server('own', 0, 4, { throughput: 1 })
  assert.equal(route([server('a', 0, 8), slow], own), 'own 0:4, a 4:8')
  assert.equal(route([server('a', 0, 8), slow]), 'a 0:8')
  assert.equal(route([server('a', 0, 8), server('own', 2, 8)], own), 'a 0:2, own 2:8')
  assert.equal(route([server('a', 0, 8), server('own', 3, 4)], own), 'a 0:8')
  assert.equal(route([server('a', 0, 8), slow], { ...own, start: 1, end: 3 }), 'own 1:3')
  assert.equal(route([server('a', 0, 8), server('own', 0, 8, { state: 'DRAINING' })], own), 'a 0:8')
})

test('servers of another protocol version are left out, and named where no route remains without them', () => {
  const newer = server('newer', 0, 8, { protocol: '3.0.0', version: '9.0.0' })
  assert.equal(route([newer, server('a', 0, 8, { throughput: 1, protocol: '2.3.0' })]), 'a 0:8')
  assert.throws(() => route([newer, server('a', 0, 4)]), {
    code: 'NO_ROUTE',
    message: /peer newer speaks protocol version 3\.0\.0, this node 2\.0\.0/,
  })
})
