import { PREFILL_TOKENS } from '../../swarm/records/rates.ts'
import type { ServerRecord } from '../../swarm/records/record.ts'
import { arithmeticClass } from './arithmetic-class.ts'
import type { RouteRequest } from './route-request.ts'
import type { RouteNode } from './shortest-route.ts'

/**
 * What a route is taken to cost, in seconds: a server's own handling of a message, a round trip that nobody has
 * measured (Petals' figures), a block on a server of unknown speed, and penalties for a server without enough free
 * cache and for a block in another arithmetic class.
 */
const HANDLING_SECONDS = 0.018
const UNKNOWN_RTT_SECONDS = 0.15
const UNKNOWN_BLOCK_SECONDS = 0.005
const FULL_CACHE_SECONDS = 10
const OTHER_ARITHMETIC_SECONDS = 100

/** The most that one way counts. */
const MAX_WAY_SECONDS = 5

/** What a link is taken for whose rate is not known: 100 Mbit/s, as Petals does. */
const LINK_BYTES_PER_SECOND = 12.5e6

/** What each server costs a route. */
export function routeNodes(servers: readonly ServerRecord[], request: RouteRequest): RouteNode[] {
  const indexes = new Map(servers.map(({ peerId }, i) => [peerId, i]))
  return servers.map((server) => routeNode(server, indexes, request))
}

function routeNode(server: ServerRecord, indexes: ReadonlyMap<string, number>, request: RouteRequest): RouteNode {
  const { peerId, start, end, cacheTokensLeft, nextRtts, queueMs } = server
  const { ownPeer, links, pass, tokens, slowdowns, arithmetic } = request
  const isOwn = peerId === ownPeer
  const { rttMs, bytesPerSecond = LINK_BYTES_PER_SECOND } = links?.of(peerId) ?? {}
  const rtt = rttMs === undefined ? UNKNOWN_RTT_SECONDS : rttMs / 1000
  const way = (isOwn ? 0 : Math.min(rtt / 2, MAX_WAY_SECONDS)) + (pass && !isOwn ? pass.bytes / bytesPerSecond : 0)
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
    extraSeconds: arithmetic && otherArithmetic(server, arithmetic),
    visitSeconds:
      (isOwn ? 0 : HANDLING_SECONDS + queueMs / 1000) +
      (pass === undefined && cacheTokensLeft < tokens ? FULL_CACHE_SECONDS : 0),
    clientSeconds: way,
    hopSeconds,
    // The client carries a pass. Otherwise two servers are not farther from each other than both are from the client.
    halfHopSeconds: pass === undefined && rttMs === undefined ? UNKNOWN_RTT_SECONDS / 4 : way,
  }
}

/** Seconds for one block of a pass or step of so many tokens. */
function blockSeconds({ prefillRate, decodeRate }: ServerRecord, tokens: number): number {
  const rate = tokens >= PREFILL_TOKENS ? prefillRate : decodeRate
  return rate > 0 ? tokens / rate : tokens * UNKNOWN_BLOCK_SECONDS
}

/** The penalty of each block that was computed in another class before. */
function otherArithmetic(
  server: ServerRecord,
  arithmetic: ReadonlyMap<number, string>,
): ReadonlyMap<number, number> | undefined {
  const own = arithmeticClass(server)
  let extra: Map<number, number> | undefined
  for (const [block, before] of arithmetic)
    if (before !== own) extra = (extra ?? new Map<number, number>()).set(block, OTHER_ARITHMETIC_SECONDS)
  return extra
}
