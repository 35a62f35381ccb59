import { PetalsError, errorMessage } from '../../../base/errors.ts'
import { withDeadline } from '../../../swarm/deadline.ts'
import type { ServerRecord } from '../../../swarm/records/record-fields.ts'
import type { RouteSpan } from './route-request.ts'
import { NoRouteError } from './routing.ts'

/** The best route through some servers. Throws `NoRouteError`. */
export type RouteFinder = (records: readonly ServerRecord[]) => RouteSpan[]

/** What is needed of the swarm. */
export interface CandidateAccess {
  records(): readonly ServerRecord[]
  /** Whether a server is known to be there: connected, or this node itself. */
  isReached(peerId: string): boolean
  /** Connects to a server. */
  dial(server: ServerRecord, signal: AbortSignal): Promise<void>
  /** Called with a server that could not be connected to, and why. */
  onFailure(peerId: string, error: unknown): void
}

/** How many routes are tried at a time: the best one first, then ever more that have no server in common. */
const WIDTHS = [1, 4, 16, 64]
/** How long the dials of one round are waited for before those of the next begin as well. */
export const ROUND_MS = 700
const DIAL_TIMEOUT_MS = 3000
/** The whole search. The dials of hundreds of servers that take no packets fit into it. */
const SEARCH_MS = 5000

/**
 * Finds routes whose servers are there. A record only says that somebody has signed it: servers vanish, sit behind
 * closed ports, or were invented. One that does not answer is noticed after seconds only, so several are dialled at a
 * time, and the first route that stands is taken.
 */
export class Candidates {
  readonly #access: CandidateAccess

  constructor(access: CandidateAccess) {
    this.#access = access
  }

  /**
   * The best route if its servers answer at once; else the best one of those that do. Throws as `find` where there is
   * no route, and `SWARM_UNREACHABLE` if no server of any could be connected to.
   */
  async route(find: RouteFinder): Promise<RouteSpan[]> {
    const best = find(this.#access.records())
    if (this.#isReached(best)) return best
    return await new Search(this.#access, find).run()
  }

  #isReached(route: readonly RouteSpan[]): boolean {
    return route.every(({ server }) => this.#access.isReached(server.peerId))
  }
}

/** One search, with what it has dialled. */
class Search {
  readonly #access: CandidateAccess
  readonly #find: RouteFinder
  readonly #dialled = new Map<string, Promise<void>>()
  readonly #pending = new Set<Promise<void>>()
  readonly #failed = new Set<string>()
  #lastError: unknown
  /** Resolves at the next dial that ends. */
  #settled = Promise.withResolvers<void>()

  constructor(access: CandidateAccess, find: RouteFinder) {
    this.#access = access
    this.#find = find
  }

  async run(): Promise<RouteSpan[]> {
    const stop = new AbortController()
    const endsAt = performance.now() + SEARCH_MS
    try {
      for (let round = 0; performance.now() < endsAt; round++) {
        this.#dialMore(WIDTHS[Math.min(round, WIDTHS.length - 1)]!, stop.signal)
        const found = await this.#waitForRoute(Math.min(ROUND_MS, endsAt - performance.now()), round === 0)
        if (found !== undefined) return found
        if (this.#pending.size === 0 && this.#untriedRoute().length === 0) break
      }
    } finally {
      stop.abort(new PetalsError('SWARM_UNREACHABLE', 'another route was found'))
    }
    throw this.#noneReached()
  }

  /** Dials the servers of so many routes that were not dialled yet. */
  #dialMore(numRoutes: number, signal: AbortSignal): void {
    for (let i = 0; i < numRoutes; i++) {
      const unknown = this.#untriedRoute()
      if (unknown.length === 0) return
      for (const { server } of unknown) this.#dial(server, signal)
    }
  }

  /** The servers of the best route not tried yet that have still to be dialled; empty if there is no such route. */
  #untriedRoute(): RouteSpan[] {
    const route = this.#tryFind(this.#untried())
    return (route ?? []).filter(({ server: { peerId } }) => !this.#access.isReached(peerId))
  }

  #dial(server: ServerRecord, signal: AbortSignal): void {
    const { peerId } = server
    if (this.#dialled.has(peerId)) return
    const dialling = withDeadline(`dialling peer ${peerId}`, DIAL_TIMEOUT_MS, signal, (signal) =>
      this.#access.dial(server, signal),
    )
      .catch((error: unknown) => {
        if (signal.aborted) return
        this.#lastError = error
        this.#failed.add(peerId)
        this.#access.onFailure(peerId, error)
      })
      .finally(() => {
        this.#pending.delete(dialling)
        this.#settled.resolve()
        this.#settled = Promise.withResolvers()
      })
    this.#dialled.set(peerId, dialling)
    this.#pending.add(dialling)
  }

  /**
   * The first route of servers that are there, for so long. In the first round, in which the best route is dialled,
   * another one is taken only once a server of that one has failed.
   */
  async #waitForRoute(ms: number, isFirst: boolean): Promise<RouteSpan[] | undefined> {
    const over = Promise.withResolvers<void>()
    let isOver = false
    const timer = setTimeout(() => {
      isOver = true
      over.resolve()
    }, ms)
    try {
      for (;;) {
        const mayTakeAny = !isFirst || isOver || this.#pending.size === 0 || this.#failed.size > 0
        const found = mayTakeAny ? this.#tryFind(this.#reached()) : undefined
        if (found !== undefined || isOver || this.#pending.size === 0) return found
        await Promise.race([over.promise, this.#settled.promise])
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #tryFind(records: readonly ServerRecord[]): RouteSpan[] | undefined {
    try {
      return this.#find(records)
    } catch (error) {
      if (error instanceof NoRouteError) return undefined
      throw error
    }
  }

  /** The servers that are there. */
  #reached(): ServerRecord[] {
    return this.#access.records().filter(({ peerId }) => this.#access.isReached(peerId))
  }

  /** The servers that are there and those that were not dialled yet. */
  #untried(): ServerRecord[] {
    return this.#access.records().filter(({ peerId }) => this.#access.isReached(peerId) || !this.#dialled.has(peerId))
  }

  /** The reason of the last dial; that of several servers says how many there were. */
  #noneReached(): unknown {
    const { size } = this.#dialled
    if (size <= 1) return this.#lastError ?? new PetalsError('SWARM_TIMEOUT', 'no server answered in time')
    return new PetalsError(
      'SWARM_UNREACHABLE',
      `no route is left: none of ${size} servers could be connected to; the last one: ${errorMessage(this.#lastError)}`,
    )
  }
}
