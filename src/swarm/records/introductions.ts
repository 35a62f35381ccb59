import { MAX_LIFETIME_MS } from './record.ts'

/** What one peer may bring to this node's notice within `MAX_LIFETIME_MS`. */
export interface IntroductionLimits {
  /** Other peers that this node has not met, and the bytes of their records. */
  readonly peers: number
  readonly bytes: number
  /** Models that this node had not heard of. */
  readonly models: number
}

/**
 * What one peer may introduce: a quarter of a directory, which is more servers than most swarms have. A record is 1 to
 * 10 KB long.
 */
const LIMITS: IntroductionLimits = { peers: 256, bytes: 4 << 20, models: 8 }
/** How many peers' introductions are counted: as many as may be connected. */
const MAX_SENDERS = 1024

interface Account {
  readonly since: number
  peers: number
  bytes: number
  models: number
}

/**
 * Counts what each peer makes known that nobody has verified. The counts outlive the records, so that records which
 * expire at once do not get round them.
 */
export class Introductions {
  readonly #limits: IntroductionLimits
  readonly #now: () => number
  readonly #accounts = new Map<string, Account>()

  constructor(now: () => number, limits = LIMITS) {
    this.#now = now
    this.#limits = limits
  }

  /** Counts another peer that a peer introduces, with a record of so many bytes; false if that is one too many. */
  tryTakePeer(from: string, bytes: number): boolean {
    const account = this.#accountOf(from)
    if (account.peers >= this.#limits.peers || account.bytes + bytes > this.#limits.bytes) return false
    account.peers += 1
    account.bytes += bytes
    return true
  }

  /** Counts another model that a peer introduces; false if that is one too many. */
  tryTakeModel(from: string): boolean {
    const account = this.#accountOf(from)
    if (account.models >= this.#limits.models) return false
    account.models += 1
    return true
  }

  #accountOf(from: string): Account {
    const now = this.#now()
    const known = this.#accounts.get(from)
    if (known !== undefined && now - known.since < MAX_LIFETIME_MS) return known
    this.#accounts.delete(from)
    const oldest = this.#accounts.keys().next()
    if (this.#accounts.size >= MAX_SENDERS && !oldest.done) this.#accounts.delete(oldest.value)
    const account = { since: now, peers: 0, bytes: 0, models: 0 }
    this.#accounts.set(from, account)
    return account
  }
}
