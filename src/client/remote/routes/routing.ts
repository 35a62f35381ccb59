import { PetalsError } from '../../../base/errors.ts'
import { isCompatible, mismatchText } from '../../../swarm/protocol-version.ts'
import type { ServerRecord } from '../../../swarm/records/record.ts'
import { routeNodes } from './route-costs.ts'
import type { RouteRequest, RouteSpan } from './route-request.ts'
import { shortestRoute } from './shortest-route.ts'

/** No chain of servers covers the blocks. It may help to wait: servers come and go. */
export class NoRouteError extends PetalsError {
  readonly missingBlocks: readonly number[]
  /** Whether waiting does not help: nothing in the swarm is, or was, what is asked for. */
  readonly isFinal: boolean

  constructor(missingBlocks: readonly number[], message: string, isFinal = false) {
    super('NO_ROUTE', message)
    this.missingBlocks = missingBlocks
    this.isFinal = isFinal
  }
}

/** How many disagreements on weights a search resolves; each doubles its work. */
const MAX_POPULATIONS = 4

/** The most servers that a message names. */
const MAX_NAMED = 3

/**
 * The chain of servers for blocks `start` to `end` with the least estimated time per step. A server may be used for
 * part of its span. Servers with different weights for a block are never combined: if two on the best route disagree,
 * routes without either are searched, `depth` times at most. Throws `NoRouteError`, naming the blocks that no server
 * holds.
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

/** A route without servers that failed lately; if there is none, one with them. */
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

/** Two servers of a route that hold different weights for the same block: parts of different models under one key. */
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
    const ofA = a.blockDigests[block - a.start]
    const ofB = b.blockDigests[block - b.start]
    if (ofA !== undefined && ofB !== undefined && ofA !== ofB) return true
  }
  return false
}

function cheapestRoute(records: readonly ServerRecord[], request: RouteRequest): RouteSpan[] {
  const { start, end } = request
  const usable = records.filter(
    (record) =>
      record.state === 'ONLINE' &&
      record.start < end &&
      record.end > start &&
      isCompatible(record.protocol) &&
      !request.avoid.has(record.peerId) &&
      digestsAgree(record, request) &&
      computesGradients(record, request) &&
      (request.adapter?.servedBy(record) ?? true),
  )
  const route = shortestRoute(start, end, routeNodes(usable, request))
  if (typeof route === 'number') throw noRoute(usable, records, request)
  return route.map(({ index, ...blocks }) => ({ server: usable[index]!, ...blocks }))
}

function digestsAgree(record: ServerRecord, { digests }: RouteRequest): boolean {
  return record.blockDigests.every((digest, i) => (digests.get(record.start + i) ?? digest) === digest)
}

/** Whether a server can be asked for the gradients that the pass will need. */
function computesGradients({ backwardTokens = 0 }: ServerRecord, { pass }: RouteRequest): boolean {
  return backwardTokens >= (pass?.gradientTokens ?? 0)
}

function noRoute(
  usable: readonly ServerRecord[],
  records: readonly ServerRecord[],
  request: RouteRequest,
): NoRouteError {
  const { start, end, adapter, digests, pass } = request
  const missing = Array.from({ length: end - start }, (_, i) => start + i).filter(
    (block) => !usable.some((server) => server.start <= block && block < server.end),
  )
  const holdMissing = records.filter((record) => missing.some((block) => record.start <= block && block < record.end))
  const other = holdMissing.find(({ protocol }) => !isCompatible(protocol))
  const mismatch = other === undefined ? '' : ` (${mismatchText(other.peerId, other.protocol)})`
  const loading = holdMissing.filter(({ state }) => state === 'JOINING')
  const coming = loading
    .map(({ peerId, start, end }) => `; peer ${peerId} is loading blocks ${start}:${end}`)
    .slice(0, MAX_NAMED)
  const blocks = `block${missing.length === 1 ? '' : 's'} ${missing.join(', ')} of ${start}:${end}`
  if (adapter === undefined) {
    const isUntrained = holdMissing.some((record) => record.state === 'ONLINE' && !computesGradients(record, request))
    const training = isUntrained ? ` and computes gradients for sequences of ${pass?.gradientTokens} tokens` : ''
    return new NoRouteError(missing, `no server that is online holds ${blocks}${training}${mismatch}${coming.join('')}`)
  }
  const names = [...new Set(records.flatMap(({ adapters }) => adapters))].join(', ') || 'none'
  // A session that has begun has used the adapter: its servers may come back.
  const isUnknown = digests.size === 0 && records.length > 0 && !records.some((record) => adapter.servedBy(record))
  const lacking = isUnknown ? 'no server computes' : `no server that is online holds ${blocks} and computes`
  return new NoRouteError(
    missing,
    `${lacking} with adapter ${adapter.label}; servers have ${names}, ` +
      `and take a client's own with "petals-node serve --allow-client-adapters"${coming.join('')}`,
    isUnknown,
  )
}
