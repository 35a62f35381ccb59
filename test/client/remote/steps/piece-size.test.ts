import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pieceTokens } from '../../../../src/client/remote/steps/piece-size.ts'
import type { RouteSpan } from '../../../../src/client/remote/routes/route-request.ts'
import { recordOf } from '../../../swarm/kit.ts'

/** Spans of ten blocks each, of these rates. */
function spans(count: number, prefillRate: number, decodeRate: number): RouteSpan[] {
  return Array.from({ length: count }, (_, i) => ({
    server: { ...recordOf(`peer ${i}`), prefillRate, decodeRate },
    start: 10 * i,
    end: 10 * i + 10,
  }))
}

const links = (bytesPerSecond: number) => ({ of: () => ({ rttMs: 80, bytesPerSecond }) })
const PROMPT = { tokens: 4096, rowBytes: 8192 }
const FAST = links(1e9)

test('what one server computes is cut by the size of messages only', () => {
  assert.equal(pieceTokens(spans(1, 5000, 500), PROMPT, FAST), 512)
  assert.equal(pieceTokens(spans(1, 5000, 500), { tokens: 100, rowBytes: 8192 }, FAST), 100)
  assert.equal(pieceTokens(spans(1, 5000, 500), { tokens: 100, rowBytes: 1 << 20 }, FAST), 4)
  assert.equal(pieceTokens(spans(9, 5000, 500), { tokens: 1, rowBytes: 8 << 20 }, FAST), 1)
})

test('the more servers there are, and the slower the links, the smaller the pieces', () => {
  const wide = { tokens: 4096, rowBytes: 64 }
  const byServers = [1, 2, 8].map((count) => pieceTokens(spans(count, 5e4, 50), wide, FAST))
  assert.deepEqual(
    byServers,
    byServers.toSorted((a, b) => b - a),
  )
  assert.ok(byServers[0]! > byServers[1]! && byServers[1]! > byServers[2]!, String(byServers))
  const byLinks = [1e9, 3e5, 3e4].map((rate) => pieceTokens(spans(4, 5e6, 50), wide, links(rate)))
  assert.deepEqual(
    byLinks,
    byLinks.toSorted((a, b) => b - a),
  )
  assert.ok(byLinks[0]! > byLinks[2]!, String(byLinks))
})

test('a server whose runs cost much gets larger pieces; one of unknown rates gets some', () => {
  const sizes = [2000, 20, 2].map((decodeRate) =>
    pieceTokens(spans(4, 5e4, decodeRate), { tokens: 4096, rowBytes: 64 }, FAST),
  )
  assert.ok(sizes[0]! < sizes[1]! && sizes[1]! <= sizes[2]!, String(sizes))
  assert.ok(pieceTokens(spans(4, 0, 0), PROMPT, undefined) >= 128)
})
