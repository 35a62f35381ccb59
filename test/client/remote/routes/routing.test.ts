import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NoRouteError, findRoute } from '../../../../src/client/remote/routes/routing.ts'
import type { RouteRequest } from '../../../../src/client/remote/routes/route-request.ts'
import { arithmeticClass } from '../../../../src/client/remote/routes/arithmetic-class.ts'
import { PROTOCOL_VERSION } from '../../../../src/swarm/protocol-version.ts'
import type { ServerRecord } from '../../../../src/swarm/records/record-fields.ts'

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
    prefillRate: 10_000,
    decodeRate: (more.throughput ?? 100) * (end - start),
    queueMs: 0,
    nextRtts: {},
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

/** All blocks were computed in this server's class. */
function classes(record: ServerRecord): ReadonlyMap<number, string> {
  return new Map(Array.from({ length: 8 }, (_, block) => [block, arithmeticClass(record)]))
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
  assert.equal(route([gpu, cpu], { arithmetic: classes(cpu) }), 'cpu 0:8')
  assert.equal(route([gpu], { arithmetic: classes(cpu) }), 'gpu 0:8')
  const int8 = server('int8', 0, 8, { kvDType: 'int8', throughput: 1e5 })
  assert.equal(route([int8, cpu], { arithmetic: classes(cpu) }), 'cpu 0:8')
  assert.equal(route([{ ...cpu, decodeRate: 1e6 }, int8], { arithmetic: classes(int8) }), 'int8 0:8')
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
  const newer = server('newer', 0, 8, { protocol: '4.0.0', version: '9.0.0' })
  assert.equal(route([newer, server('a', 0, 8, { throughput: 1, protocol: '3.3.0' })]), 'a 0:8')
  assert.throws(() => route([newer, server('a', 0, 4)]), {
    code: 'NO_ROUTE',
    message: new RegExp(`peer newer speaks protocol version 4\\.0\\.0, this node ${PROTOCOL_VERSION}`),
  })
})

test('round trips decide where servers compute alike, between them as to the client', () => {
  const near = server('near', 0, 8),
    far = server('far', 0, 8)
  const links = { of: (peerId: string) => ({ rttMs: peerId === 'far' ? 300 : 10, bytesPerSecond: undefined }) }
  assert.equal(route([far, near], { links }), 'near 0:8')
  const parts = [server('a', 0, 4, { nextRtts: { c: 5 } }), server('b', 4, 8), server('c', 4, 8)]
  assert.equal(route(parts), 'a 0:4, c 4:8')
})

test('who has much to do, or was seen to be slower than it says, is passed over', () => {
  assert.equal(route([server('busy', 0, 8, { queueMs: 5000 }), server('free', 0, 8, { throughput: 20 })]), 'free 0:8')
  const slowdowns = new Map([['liar', 50]])
  assert.equal(route([server('liar', 0, 8, { throughput: 1000 }), server('free', 0, 8)], { slowdowns }), 'free 0:8')
})

test('a pass goes where prefills are quick and links are wide, whatever decoding takes', () => {
  const wide = server('wide', 0, 8, { throughput: 1, prefillRate: 1e6 }),
    quick = server('quick', 0, 8, { prefillRate: 1e6 }),
    slow = server('slow', 0, 8, { prefillRate: 100 })
  const links = { of: (peerId: string) => ({ rttMs: 10, bytesPerSecond: peerId === 'wide' ? 1e8 : 1e6 }) }
  const pass = { tokens: 512, bytes: 1e8 }
  assert.equal(route([slow, quick, wide], { links, pass }), 'wide 0:8')
  assert.equal(route([slow, quick], { links, pass }), 'quick 0:8')
})

test('a server that knows the form that was asked for is preferred, unless another is much quicker', () => {
  const knows = server('knows', 0, 8, { wireDTypes: ['int8'], throughput: 90 })
  const quicker = server('quicker', 0, 8)
  assert.equal(route([quicker, knows]), 'quicker 0:8')
  assert.equal(route([quicker, knows], { wireDType: 'int8' }), 'knows 0:8')
  assert.equal(
    route([server('much quicker', 0, 8, { throughput: 1e5 }), { ...knows, decodeRate: 10 }], { wireDType: 'int8' }),
    'much quicker 0:8',
  )
})
