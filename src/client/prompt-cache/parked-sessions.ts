import { commonPrefix } from '../../base/common-prefix.ts'
import type { HeldSession } from './held-session.ts'
import { isSameKey } from './settings.ts'

/** How much may stay parked, and for how long. */
export interface ParkingLimits {
  /** The most tokens of all parked sessions. */
  readonly maxTokens: number
  /** How long a session stays parked that nobody wants, in milliseconds. */
  readonly maxAgeMs: number
}

/** The most sessions that are parked. Servers count them among those that one peer may have, and most are for use. */
const MAX_SESSIONS = 32

/** The longest time that a timer of Node can wait. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Sessions that nobody uses, the one that was used last at the end. Beyond the limits the first ones are closed. */
export class ParkedSessions {
  readonly #limits: ParkingLimits
  readonly #sessions = new Map<HeldSession, NodeJS.Timeout>()

  constructor(limits: ParkingLimits) {
    this.#limits = limits
  }

  get count(): number {
    return this.#sessions.size
  }

  get tokens(): number {
    return [...this.#sessions.keys()].reduce((sum, { ids }) => sum + ids.length, 0)
  }

  [Symbol.iterator](): Iterator<HeldSession> {
    return this.#sessions.keys()
  }

  /** Keeps a session that was parked. */
  add(held: HeldSession): void {
    const { maxTokens, maxAgeMs } = this.#limits
    this.#sessions.set(held, setTimeout(() => this.close(held), Math.min(maxAgeMs, LONGEST_TIMER_MS)).unref())
    this.#closeRepeated(held)
    for (const oldest of this.#sessions.keys()) {
      if (this.tokens <= maxTokens && this.count <= MAX_SESSIONS) return
      this.close(oldest)
    }
  }

  /** No longer counts a session that is used again, or closed. */
  remove(held: HeldSession): void {
    clearTimeout(this.#sessions.get(held))
    this.#sessions.delete(held)
  }

  /** Frees a session's caches. */
  close(held: HeldSession): void {
    this.remove(held)
    void held.close()
  }

  /** Closes all sessions and forgets them. */
  async closeAll(): Promise<void> {
    const all = [...this.#sessions.keys()]
    for (const held of all) this.remove(held)
    await Promise.all(all.map((held) => held.close()))
  }

  /** Of two sessions one of which begins as the whole other one, the longer is enough: what is shared can be copied. */
  #closeRepeated(held: HeldSession): void {
    for (const other of this.#sessions.keys()) {
      if (other === held || !isSameKey(other.key, held.key)) continue
      const common = commonPrefix(held.ids, other.ids)
      if (common === other.ids.length && other.turns.isFree) this.close(other)
      else if (common === held.ids.length) return this.close(held)
    }
  }
}
