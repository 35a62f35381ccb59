import { PetalsError } from '../../base/errors.ts'
import { isCompatible, mismatchText } from '../../swarm/protocol-version.ts'
import type { ServerRecord } from '../../swarm/records/record.ts'

/** Part of a server's span that a session uses. */
export interface RouteSpan {
  readonly server: ServerRecord
  readonly start: number
  readonly end: number
}

/** Which servers compute with an adapter. */
export interface AdapterServers {
  /** For messages. */
  readonly label: string
  servedBy(record: ServerRecord): boolean
}

export interface RouteRequest {
  readonly start: number
  readonly end: number
  /** Cache that the session needs on each server, in tokens. */
  readonly tokens: number
  /** Servers that have failed this session lately, by peer id. */
  readonly avoid: ReadonlySet<string>
  /** Digests of blocks that the session has already computed with, by block: other weights are never mixed in. */
  readonly digests: ReadonlyMap<number, string>
  /** Dtype and kind of device that a replacement should share, so that a replay gives the same tokens. */
  readonly arithmetic?: string | undefined
  /** Only servers that compute with it are of use. */
  readonly adapter?: AdapterServers | undefined
  /** The client's own peer id: its own span is used in process, and takes nothing from anybody else. */
  readonly ownPeer?: string | undefined
}

/** No chain of servers covers the blocks asked for. Worth waiting: servers come and go. */
export class NoRouteError extends PetalsError {
  readonly missingBlocks: readonly number[]

  constructor(missingBlocks: readonly number[], message: string) {
    super('NO_ROUTE', message)
    this.missingBlocks = missingBlocks
  }
}

/** A hop costs about what this many blocks of an unmeasured server do; a server that is short of cache costs a lot. */
const HOP_SECONDS = 0.02
const FULL_CACHE_SECONDS = 10
const UNKNOWN_BLOCK_SECONDS = 0.005
const OTHER_ARITHMETIC_SECONDS = 100

/** Names the arithmetic of a server: servers of one class give the same tokens. */
export function arithmeticClass({ dtype, quant, kvDType, device }: ServerRecord): string {
  return [device, dtype, quant, ...(kvDType === undefined ? [] : [kvDType])].join('/')
}

/** How often a route may be sought anew because servers on it hold different weights; each doubles the work. */
const MAX_POPULATIONS = 4

/**
 * The cheapest chain of servers for blocks `start` to `end`: fewest hops first, then speed; any server may be used for
 * part of its span; servers with different weights for a block are never mixed. Throws `NoRouteError`, naming the
 * blocks that nobody holds.
 */
export function findRoute(
  records: readonly ServerRecord[],
  request: RouteRequest,
  depth = MAX_POPULATIONS,
): RouteSpan[] {
  const route = cheapestRoute(records, request)
  const clash = findDisagreement(route)
  if (clash === undefined) return route
  const routes =
    depth === 0
      ? []
      : clash.flatMap((anchor) => {
          try {
            return [
              findRoute(
                records.filter((record) => !disagree(anchor, record)),
                request,
                depth - 1,
              ),
            ]
          } catch (error) {
            if (error instanceof NoRouteError) return []
            throw error
          }
        })
  if (routes.length === 0) {
    const [a, b] = clash
    throw new NoRouteError(
      [],
      `servers ${a.peerId} and ${b.peerId} hold different weights for the same blocks, and there is no chain ` +
        'without one of them',
    )
  }
  return routes.reduce((shortest, other) => (other.length < shortest.length ? other : shortest))
}

/** A route around servers that failed lately; where there is none, better one of them than nobody. */
export function findRouteAround(
  records: readonly ServerRecord[],
  request: RouteRequest,
  failedLately: ReadonlySet<string>,
): RouteSpan[] {
  try {
    return findRoute(records, { ...request, avoid: request.avoid.union(failedLately) })
  } catch (error) {
    if (error instanceof NoRouteError) return findRoute(records, request)
    throw error
  }
}

/** Two servers of a route that hold different weights for a block: parts of different models under one key. */
function findDisagreement(route: readonly RouteSpan[]): [ServerRecord, ServerRecord] | undefined {
  for (const { server: a } of route) {
    const clash = route.find(({ server: b }) => disagree(a, b))
    if (clash !== undefined) return [a, clash.server]
  }
  return undefined
}

function disagree(a: ServerRecord, b: ServerRecord): boolean {
  const until = Math.min(a.end, b.end)
  for (let block = Math.max(a.start, b.start); block < until; block++) {
    const ofA = a.blockDigests[block - a.start],
      ofB = b.blockDigests[block - b.start]
    if (ofA !== undefined && ofB !== undefined && ofA !== ofB) return true
  }
  return false
}

function cheapestRoute(records: readonly ServerRecord[], request: RouteRequest): RouteSpan[] {
  const { start, end } = request
  const usable = records.filter(
    (record) =>
      record.state === 'ONLINE' &&
      isCompatible(record.protocol) &&
      !request.avoid.has(record.peerId) &&
      digestsAgree(record, request) &&
      (request.adapter?.servedBy(record) ?? true),
  )
  const best: ({ seconds: number; span?: RouteSpan } | undefined)[] = [{ seconds: 0 }]
  for (let block = start + 1; block <= end; block++) {
    for (const server of usable) {
      if (server.end < block || server.start >= block) continue
      for (let from = Math.max(start, server.start); from < block; from++) {
        const before = best[from - start]
        if (before === undefined) continue
        const seconds = before.seconds + spanSeconds(server, block - from, request)
        if (seconds < (best[block - start]?.seconds ?? Infinity))
          best[block - start] = { seconds, span: { server, start: from, end: block } }
      }
    }
  }
  const route: RouteSpan[] = []
  for (let block = end; block > start; block = route[0]!.start) {
    const span = best[block - start]?.span
    if (span === undefined) throw noRoute(usable, records, request)
    route.unshift(span)
  }
  return route
}

function spanSeconds(server: ServerRecord, numBlocks: number, { tokens, arithmetic, ownPeer }: RouteRequest): number {
  const perBlock = server.throughput > 0 ? 1 / (server.throughput * (server.end - server.start)) : UNKNOWN_BLOCK_SECONDS
  return (
    (server.peerId === ownPeer ? 0 : HOP_SECONDS + numBlocks * perBlock) +
    (server.cacheTokensLeft < tokens ? FULL_CACHE_SECONDS : 0) +
    (arithmetic !== undefined && arithmeticClass(server) !== arithmetic ? OTHER_ARITHMETIC_SECONDS : 0)
  )
}

function digestsAgree(record: ServerRecord, { digests }: RouteRequest): boolean {
  return record.blockDigests.every((digest, i) => (digests.get(record.start + i) ?? digest) === digest)
}

function noRoute(
  usable: readonly ServerRecord[],
  records: readonly ServerRecord[],
  { start, end, adapter }: RouteRequest,
): NoRouteError {
  const missing = Array.from({ length: end - start }, (_, i) => start + i).filter(
    (block) => !usable.some((server) => server.start <= block && block < server.end),
  )
  const other = records.find(
    (record) => !isCompatible(record.protocol) && missing.some((block) => record.start <= block && block < record.end),
  )
  const reason = other === undefined ? '' : ` (${mismatchText(other.peerId, other.protocol)})`
  if (adapter !== undefined) {
    const names = [...new Set(records.flatMap(({ adapters }) => adapters))].join(', ') || 'none'
    return new NoRouteError(
      missing,
      `no server that is online holds blocks ${missing.join(', ')} of ${start}:${end} ` +
        `and computes with adapter ${adapter.label}; servers have ${names}, ` +
        'and take a client\'s own with "petals-node serve --allow-client-adapters"',
    )
  }
  return new NoRouteError(
    missing,
    `no server that is online holds block${missing.length === 1 ? '' : 's'} ` +
      `${missing.join(', ')} of ${start}:${end}${reason}; start one with "petals-node serve --blocks ` +
      `${missing[0]}:${(missing.at(-1) ?? end) + 1}"`,
  )
}
