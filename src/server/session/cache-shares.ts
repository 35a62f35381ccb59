import { PetalsError } from '../../base/errors.ts'

/** What one peer's sessions may hold of the cache while other peers wait for some; alone it may have all. */
const SHARE = 0.5

/** Who holds and who waits for how much of the cache, so that one peer cannot keep the others out. */
export class CacheShares {
  readonly #held = new Map<string, number>()
  readonly #waiting = new Map<string, number>()

  /**
   * Runs `reserve`, which takes `tokens` of the `cacheTokens` for a peer. The tokens count as the peer's until the
   * function that comes with the result is called. Throws `CACHE_FULL` where the peer has its share and others wait.
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
