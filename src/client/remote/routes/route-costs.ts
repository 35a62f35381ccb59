import { PREFILL_TOKENS } from '../../../swarm/records/rates.ts'
import type { ServerRecord } from '../../../swarm/records/record.ts'
import { arithmeticClass } from './arithmetic-class.ts'
import type { RouteRequest } from './route-request.ts'
import type { RouteNode } from './shortest-route.ts'
import { UNKNOWN_BLOCK_SECONDS, UNKNOWN_BYTES_PER_SECOND, UNKNOWN_RTT_MS } from '../seen/unknown.ts'
import { agreedWireDType } from './wire-dtype.ts'

/**
 * What a route is taken to cost, in seconds: a server's own handling of a message (Petals' figure), and penalties for a
 * server without enough free cache and for a block in another arithmetic class.
 */
const HANDLING_SECONDS = 0.018
const FULL_CACHE_SECONDS = 10
const OTHER_ARITHMETIC_SECONDS = 100

/** What a block costs elsewhere that the client holds itself: using its own takes nobody's capacity. */
const NOT_OWN_SECONDS = 0.01

/** What a server costs that does not know the form that was asked for: its messages are larger. */
const OTHER_FORM_SECONDS = 0.05

/** The most that one way counts. */
const MAX_WAY_SECONDS = 5

/** What each server costs a route. */
export function routeNodes(servers: readonly ServerRecord[], request: RouteRequest): RouteNode[] {
  const known = servers.flatMap(({ peerId }) => request.links?.of(peerId).rttMs ?? [])
  const own = servers.find(({ peerId }) => peerId === request.ownPeer)
  const context: Context = {
    request,
    indexes: new Map(servers.map(({ peerId }, i) => [peerId, i])),
    // Where nothing was measured yet, it may be a near swarm as well as a far one; else the others tell.
    unknownRttMs: known.length === 0 ? UNKNOWN_RTT_MS : known.reduce((sum, rttMs) => sum + rttMs, 0) / known.length,
    ownBlocks: own === undefined ? [] : Array.from({ length: own.end - own.start }, (_, i) => own.start + i),
  }
  return servers.map((server) => routeNode(server, context))
}

interface Context {
  readonly request: RouteRequest
  readonly indexes: ReadonlyMap<string, number>
  /** What is assumed of a server to which no round trip is known. */
  readonly unknownRttMs: number
  /** The blocks that the client holds itself. */
  readonly ownBlocks: readonly number[]
}

function routeNode(server: ServerRecord, context: Context): RouteNode {
  const { request, indexes, unknownRttMs, ownBlocks } = context
  const { peerId, start, end, cacheTokensLeft, nextRtts, queueMs } = server
  const { ownPeer, links, pass, tokens, slowdowns, arithmetic } = request
  const isOwn = peerId === ownPeer
  const { rttMs = unknownRttMs, bytesPerSecond = UNKNOWN_BYTES_PER_SECOND } = links?.of(peerId) ?? {}
  const way = (isOwn ? 0 : Math.min(rttMs / 2000, MAX_WAY_SECONDS)) + (pass && !isOwn ? pass.bytes / bytesPerSecond : 0)
  const hopSeconds = new Map<number, number>()
  if (pass === undefined) {
    for (const next in nextRtts) {
      const index = indexes.get(next)
      if (index !== undefined) hopSeconds.set(index, Math.min(nextRtts[next]! / 2000, MAX_WAY_SECONDS))
    }
  }
  return {
    start,
    end,
    blockSeconds: isOwn ? 0 : blockSeconds(server, pass?.tokens ?? 1) * (slowdowns?.get(peerId) ?? 1),
    extraSeconds: extraSeconds(arithmeticClass(server, request.wireDType), arithmetic, isOwn ? [] : ownBlocks),
    visitSeconds:
      (isOwn ? 0 : HANDLING_SECONDS + queueMs / 1000) +
      (pass?.given?.get(peerId) ?? 0) +
      (isOwn || isWished(server, request) ? 0 : OTHER_FORM_SECONDS) +
      (pass === undefined && cacheTokensLeft < tokens ? FULL_CACHE_SECONDS : 0),
    clientSeconds: way,
    hopSeconds,
    // Between servers half of what both are from the client; a pass the client carries itself.
    halfHopSeconds: pass === undefined ? way / 2 : way,
  }
}

/** Whether a server knows the form in which activations are to travel. */
function isWished(server: ServerRecord, { wireDType = 'auto' }: RouteRequest): boolean {
  return wireDType === 'auto' || agreedWireDType(server, wireDType) !== undefined
}

/** Seconds for one block of a pass or step of so many tokens. */
function blockSeconds({ prefillRate, decodeRate }: ServerRecord, tokens: number): number {
  const rate = tokens >= PREFILL_TOKENS ? prefillRate : decodeRate
  return rate > 0 ? tokens / rate : tokens * UNKNOWN_BLOCK_SECONDS
}

/** What some blocks cost besides: those computed in another class before, and those that the client holds itself. */
function extraSeconds(
  own: string,
  arithmetic: ReadonlyMap<number, string> = new Map(),
  ownBlocks: readonly number[],
): ReadonlyMap<number, number> | undefined {
  const extra = new Map<number, number>(ownBlocks.map((block) => [block, NOT_OWN_SECONDS]))
  for (const [block, before] of arithmetic)
    if (before !== own) extra.set(block, (extra.get(block) ?? 0) + OTHER_ARITHMETIC_SECONDS)
  return extra.size === 0 ? undefined : extra
}
