import { PetalsError } from '../../base/errors.ts'

/**
 * The share of the cache that one peer's sessions may hold while other peers wait for cache. Otherwise a peer may have
 * all of it.
 */
const SHARE = 0.5

/** Counts how much of the cache each peer holds and who waits, so that one peer cannot keep the others out. */
export class CacheShares {
  readonly #held = new Map<string, number>()
  readonly #waiting = new Map<string, number>()

  /**
   * Runs `reserve`, which reserves `tokens` of the cache's `cacheTokens` for a peer. They count as the peer's until the
   * returned `giveBack` is called. Throws `CACHE_FULL` if the peer would exceed its share while other peers wait.
   */
  async take<T>(
    peerId: string,
    tokens: number,
    cacheTokens: number,
    reserve: () => Promise<T>,
  ): Promise<{ taken: T; giveBack: () => void }> {
    const held = this.#held.get(peerId) ?? 0
    const othersWait = [...this.#waiting.keys()].some((other) => other !== peerId)
    if (othersWait && held + tokens > cacheTokens * SHARE) {
      throw new PetalsError(
        'CACHE_FULL',
        `sessions of this peer hold ${held} of ${cacheTokens} cache tokens, and other peers wait for some`,
      )
    }
    add(this.#waiting, peerId, 1)
    const taken = await reserve().finally(() => add(this.#waiting, peerId, -1))
    add(this.#held, peerId, tokens)
    return { taken, giveBack: () => add(this.#held, peerId, -tokens) }
  }
}

function add(counts: Map<string, number>, key: string, change: number): void {
  const count = (counts.get(key) ?? 0) + change
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
