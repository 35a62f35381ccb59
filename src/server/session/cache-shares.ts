import { PetalsError } from '../../base/errors.ts'

/** What one peer may hold at most, also where nobody else wants any. */
export interface ShareLimits {
  readonly sessions: number
  readonly cacheTokens: number
}

/** A session that holds a part of the cache. */
export interface CacheHolder {
  /** When it was last used, in milliseconds of `performance.now()`. */
  readonly usedAt: number
  /** Whether its client has parked it: it may have to give way to anybody, at once. */
  readonly isParked: boolean
  /** Ends the session, which gives its part back. */
  giveWay(error: PetalsError): void
}

/** What a session has taken. */
export interface CacheShare<T> {
  readonly taken: T
  /** Names the session that holds it: from now on it may have to give way. */
  readonly heldBy: (holder: CacheHolder) => void
  readonly giveBack: () => void
}

interface Holding {
  readonly peerId: string
  readonly tokens: number
  holder: CacheHolder | undefined
  isLeaving: boolean
}

/** How long a peer with less than its share waits before somebody with more gives way, and before the next one does. */
const PATIENCE_MS = 500

const NO_LIMITS: ShareLimits = { sessions: Infinity, cacheTokens: Infinity }

/**
 * How much of the cache each peer holds and who waits, so that one peer cannot keep the others out. Alone it may have
 * all. While others wait it gets no more than an equal share for itself; and where it has more, its idlest session
 * gives way to those that would not hold more than it does. Parked sessions give way to anybody before anybody waits.
 */
export class CacheShares {
  readonly #limits: ShareLimits
  readonly #patienceMs: number
  readonly #holdings = new Set<Holding>()
  readonly #waiting = new Map<string, number>()

  constructor(limits: ShareLimits = NO_LIMITS, patienceMs = PATIENCE_MS) {
    this.#limits = limits
    this.#patienceMs = patienceMs
  }

  /**
   * Runs `reserve`, which reserves `tokens` of the cache's `cacheTokens` for a peer. They count as the peer's until the
   * returned `giveBack` is called. Throws `SWARM_BUSY` if the peer has as many sessions as it may, `CACHE_FULL` if it
   * has as many tokens, or would exceed its share while other peers wait, and what `reserve` throws.
   */
  async take<T>(
    peerId: string,
    tokens: number,
    cacheTokens: number,
    reserve: () => Promise<T>,
  ): Promise<CacheShare<T>> {
    for (let problem = this.#problem(peerId, tokens, cacheTokens); problem !== undefined;) {
      if (!displaceIdlest(this.#parked().filter((holding) => holding.peerId === peerId))) throw problem
      problem = this.#problem(peerId, tokens, cacheTokens)
    }
    add(this.#waiting, peerId, 1)
    const makeWay = setInterval(() => this.#makeWay(peerId, tokens, cacheTokens), this.#patienceMs).unref()
    const taken = await reserve().finally(() => {
      clearInterval(makeWay)
      add(this.#waiting, peerId, -1)
    })
    const holding: Holding = { peerId, tokens, holder: undefined, isLeaving: false }
    this.#holdings.add(holding)
    return {
      taken,
      heldBy: (holder) => {
        holding.holder = holder
      },
      giveBack: () => this.#holdings.delete(holding),
    }
  }

  /**
   * Has the parked session that was idle for longest give way to `peerId`, one of its own if it has any. False where
   * none is parked.
   */
  makeRoom(peerId: string): boolean {
    const parked = this.#parked()
    return displaceIdlest(parked.filter((holding) => holding.peerId === peerId)) || displaceIdlest(parked)
  }

  /** All parked sessions give way, for this reason. */
  clearParked(error: PetalsError): void {
    while (displaceIdlest(this.#parked(), error));
  }

  /** Why a peer may not hold so many more tokens. */
  #problem(peerId: string, tokens: number, cacheTokens: number): PetalsError | undefined {
    const { sessions, cacheTokens: most } = this.#limits
    const held = this.#heldBy(peerId)
    const numSessions = this.#holdingsOf(peerId).length + (this.#waiting.get(peerId) ?? 0)
    if (numSessions >= sessions)
      return new PetalsError('SWARM_BUSY', `this peer has ${numSessions} sessions here, as many as it may have`)
    if (held + tokens > most)
      return new PetalsError(
        'CACHE_FULL',
        `sessions of this peer hold ${held} of the ${most} cache tokens that it may have`,
      )
    const othersWait = [...this.#waiting.keys()].some((other) => other !== peerId)
    if (othersWait && held + tokens > this.#shareOf(peerId, cacheTokens))
      return new PetalsError(
        'CACHE_FULL',
        `sessions of this peer hold ${held} of ${cacheTokens} cache tokens, and other peers wait for some`,
      )
    return undefined
  }

  /** Has a session of the peer that holds most give way, if it has more than its share and who waits would not. */
  #makeWay(peerId: string, tokens: number, cacheTokens: number): void {
    const [greediest, most] = this.#greediest(peerId)
    if (most <= this.#shareOf(peerId, cacheTokens) || this.#heldBy(peerId) + tokens > most) return
    const held = `sessions of this peer held ${most} of ${cacheTokens} cache tokens`
    displaceIdlest(this.#holdingsOf(greediest), displaced(`${held}, and other peers wait for some`))
  }

  #greediest(except: string): readonly [string, number] {
    const held = new Map<string, number>()
    for (const { peerId, tokens, isLeaving } of this.#holdings)
      if (peerId !== except && !isLeaving) add(held, peerId, tokens)
    return [...held].reduce((most, other) => (other[1] > most[1] ? other : most), ['', 0] as const)
  }

  /** An equal share of the cache, among all peers that hold or wait for some. */
  #shareOf(peerId: string, cacheTokens: number): number {
    const peers = new Set([peerId, ...this.#waiting.keys()])
    for (const holding of this.#holdings) peers.add(holding.peerId)
    return cacheTokens / peers.size
  }

  #parked(): Holding[] {
    return [...this.#holdings].filter(({ holder, isLeaving }) => holder?.isParked === true && !isLeaving)
  }

  #holdingsOf(peerId: string): Holding[] {
    return [...this.#holdings].filter((holding) => holding.peerId === peerId && !holding.isLeaving)
  }

  #heldBy(peerId: string): number {
    return this.#holdingsOf(peerId).reduce((sum, { tokens }) => sum + tokens, 0)
  }
}

function displaced(reason: string): PetalsError {
  return new PetalsError('SESSION_DISPLACED', reason)
}

/** Ends the session that was idle for longest, which gives its part back in the same turn. False where none can. */
function displaceIdlest(
  holdings: readonly Holding[],
  error = displaced('it was parked, and its place in the cache is needed'),
): boolean {
  const able = holdings.filter(({ holder }) => holder !== undefined)
  const [idlest] = able.toSorted((a, b) => a.holder!.usedAt - b.holder!.usedAt)
  if (idlest === undefined) return false
  idlest.isLeaving = true
  idlest.holder!.giveWay(error)
  return true
}

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
