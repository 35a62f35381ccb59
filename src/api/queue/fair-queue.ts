import { ApiError } from '../errors/api-error.ts'
import type { Caller } from '../access/caller.ts'

/** How much runs at once, and how much may wait. */
export interface QueueOptions {
  /** Texts that are generated at the same time. */
  readonly slots: number
  /** Requests that wait for their turn; what comes beyond them is refused. */
  readonly maxWaiting: number
}

/** What is asked of the queue. */
export interface Entry {
  readonly caller: Caller
  /** The model that is wanted, by the name in answers. */
  readonly model: string
  /** How many texts at once. */
  readonly slots: number
}

interface Waiting {
  readonly wanted: Entry
  readonly start: () => void
}

/** Bounds of what a client that is turned away is told to wait. */
const MIN_RETRY_SECONDS = 1
const MAX_RETRY_SECONDS = 60

/** How much of the mean duration the latest request is. */
const NEWEST_SHARE = 0.1

/**
 * Lets requests in while there are free slots, and others wait. It is the turn of the caller that has the fewest slots,
 * among equals of the one who was let in longest ago, and of that caller's oldest request: whoever sends a hundred
 * requests waits for them, not everybody else.
 */
export class FairQueue {
  readonly #options: QueueOptions
  readonly #waiting: Waiting[] = []
  readonly #taken = new Map<Caller, number>()
  #free: number
  readonly #running = new Set<Entry>()
  /** When each caller was let in last: the number of that entry. */
  readonly #letIn = new WeakMap<Caller, number>()
  #numLetIn = 0
  #meanSeconds = 1

  constructor(options: QueueOptions) {
    this.#options = options
    this.#free = options.slots
  }

  /** Requests that were let in and have not ended. */
  get numRunning(): number {
    return this.#running.size
  }

  get numWaiting(): number {
    return this.#waiting.length
  }

  numRunningOf(model: string): number {
    return [...this.#running].filter((entry) => entry.model === model).length
  }

  numWaitingOf(model: string): number {
    return this.#waiting.filter(({ wanted }) => wanted.model === model).length
  }

  /**
   * Resolves when the wanted slots (no more than there are) are the caller's; the result gives them back. Rejects with
   * the signal's reason, or with an `ApiError` of status 429 where too many wait.
   */
  async enter(wanted: Entry, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    const entry = { ...wanted, slots: Math.min(wanted.slots, this.#options.slots) }
    if (this.#waiting.length > 0 || entry.slots > this.#free) await this.#wait(entry, signal)
    else this.#take(entry)
    const began = performance.now()
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      this.#meanSeconds += (NEWEST_SHARE * (performance.now() - began)) / 1000 - NEWEST_SHARE * this.#meanSeconds
      this.#give(entry)
    }
  }

  async #wait(wanted: Entry, signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#options.maxWaiting) throw this.#full()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const entry = { wanted, start: resolve }
    const onAbort = (): void => {
      this.#waiting.splice(this.#waiting.indexOf(entry), 1)
      reject(signal.reason as Error)
      // It may have been what the others waited behind.
      this.#startWaiting()
    }
    this.#waiting.push(entry)
    signal.addEventListener('abort', onAbort, { once: true })
    void promise.then(
      () => signal.removeEventListener('abort', onAbort),
      () => undefined,
    )
    await promise
  }

  #take(entry: Entry): void {
    const { caller, slots } = entry
    this.#free -= slots
    this.#running.add(entry)
    this.#letIn.set(caller, ++this.#numLetIn)
    this.#taken.set(caller, (this.#taken.get(caller) ?? 0) + slots)
  }

  #give(entry: Entry): void {
    const { caller, slots } = entry
    this.#free += slots
    this.#running.delete(entry)
    const left = this.#taken.get(caller)! - slots
    if (left === 0) this.#taken.delete(caller)
    else this.#taken.set(caller, left)
    this.#startWaiting()
  }

  #startWaiting(): void {
    for (let next = this.#next(); next !== undefined && next.wanted.slots <= this.#free; next = this.#next()) {
      this.#waiting.splice(this.#waiting.indexOf(next), 1)
      this.#take(next.wanted)
      next.start()
    }
  }

  /** Whose turn it is. One that needs many slots waits for them, and others behind it: it would never get them else. */
  #next(): Waiting | undefined {
    const takenBy = ({ wanted }: Waiting): number => this.#taken.get(wanted.caller) ?? 0
    const lastOf = ({ wanted }: Waiting): number => this.#letIn.get(wanted.caller) ?? 0
    let best = this.#waiting[0]
    for (const waiting of this.#waiting) {
      const fewer = takenBy(waiting) - takenBy(best!)
      if (fewer < 0 || (fewer === 0 && lastOf(waiting) < lastOf(best!))) best = waiting
    }
    return best
  }

  #full(): ApiError {
    const { slots, maxWaiting } = this.#options
    const seconds = (this.#meanSeconds * (this.#waiting.length + 1)) / slots
    return new ApiError(`${maxWaiting} requests wait already: try again later`, {
      status: 429,
      type: 'rate_limit_error',
      code: 'rate_limit_exceeded',
      retryAfterSeconds: Math.min(MAX_RETRY_SECONDS, Math.max(MIN_RETRY_SECONDS, seconds)),
    })
  }
}
