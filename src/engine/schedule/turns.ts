import { ClientShares } from './client-shares.ts'

interface Waiting {
  readonly client: string
  readonly begin: () => void
}

/** Ends a turn, of which so many tokens were computed: the next one begins. To be called once. */
export type EndTurn = (tokens: number) => void

/**
 * Things that are done one at a time: next comes the client that has had the fewest tokens computed, as in the
 * scheduler.
 */
export class Turns {
  readonly #shares = new ClientShares()
  #waiting: Waiting[] = []
  #isTaken = false

  /** Whether nobody has a turn. */
  get isIdle(): boolean {
    return !this.#isTaken
  }

  /** Resolves when it is the client's turn. Rejects with the signal's reason; then there is no turn to end. */
  async take(client: string, signal: AbortSignal): Promise<EndTurn> {
    signal.throwIfAborted()
    this.#shares.join(client)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting = { client, begin: resolve }
    const leave = (): void => {
      const before = this.#waiting.length
      this.#waiting = this.#waiting.filter((other) => other !== waiting)
      // Whose turn has begun in this very moment ends it as usual.
      if (this.#waiting.length < before) reject(signal.reason as Error)
    }
    signal.addEventListener('abort', leave, { once: true })
    this.#waiting.push(waiting)
    if (!this.#isTaken) this.#next()
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', leave)
    }
    return (tokens) => {
      this.#shares.charge(client, tokens)
      this.#next()
    }
  }

  #next(): void {
    const next = this.#shares.next(this.#waiting)
    this.#isTaken = next !== undefined
    if (next === undefined) return this.#shares.reset()
    this.#waiting = this.#waiting.filter((waiting) => waiting !== next)
    next.begin()
  }
}
