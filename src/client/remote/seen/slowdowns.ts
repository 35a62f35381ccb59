/** The weight of one step against all before it, and the most that a server is held to be slower than it says. */
const STEP_WEIGHT = 0.05
const MAX_FACTOR = 100

/** A factor below this is forgotten: the server is no longer slow. */
const FORGOTTEN = 1.02

/**
 * How many times as long as their records say servers take, as this client has seen it. A claim is never bettered by
 * it. Of a chain only the whole is seen, so its servers share what it took beyond what was expected; servers that are
 * in slow chains only stand out with time.
 */
export class Slowdowns {
  readonly #factors = new Map<string, number>()
  readonly #weight: number

  /** `weight` is that of one step against all before it. */
  constructor(weight = STEP_WEIGHT) {
    this.#weight = weight
  }

  /** By peer id; servers that do as they say are not in it. */
  get factors(): ReadonlyMap<string, number> {
    return this.#factors
  }

  /** A step through these servers took so many seconds where so many were expected. */
  took(peerIds: readonly string[], seconds: number, expected: number): void {
    const ratio = Math.min(MAX_FACTOR, Math.max(1, seconds / expected))
    for (const peerId of peerIds) {
      const before = this.#factors.get(peerId) ?? 1
      const factor = before + this.#weight * (ratio - before)
      if (factor < FORGOTTEN) this.#factors.delete(peerId)
      else this.#factors.set(peerId, factor)
    }
  }
}
