import { PetalsError } from '../../base/errors.ts'

/** The unit of the cache, and the smallest row, in tokens. */
export const ROW_UNIT = 128

/** Tokens `offset` to `offset + capacity` of every block's cache belong to one session. */
export interface Row {
  readonly offset: number
  readonly capacity: number
}

interface Waiter {
  readonly maxLength: number
  readonly grant: (row: Row) => void
}

export interface ReserveOptions {
  /** How long to wait for room; 0 fails at once. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/** What else there is to know of a cache in which long rows take less memory than their length says. */
export interface RowCosts {
  /** Where rows can lie, in tokens. */
  readonly positions: number
  /** What a row takes of the total, in tokens. */
  readonly costOf: (capacity: number) => number
}

/**
 * Deals out rows of the cache. Row capacities are powers of two and offsets their multiples, so that rows of one
 * capacity that lie side by side can be bound as one batch. Pure bookkeeping: it never sees the memory.
 */
export class RowAllocator {
  readonly totalTokens: number
  /** Where rows lie: as many tokens, or more where long rows take less. */
  readonly positions: number
  readonly #costOf: (capacity: number) => number
  readonly #rows = new Map<number, Row>()
  readonly #waiters = new Set<Waiter>()
  #usedTokens = 0

  /** `totalTokens` is rounded up to whole units. */
  constructor(
    totalTokens: number,
    { positions, costOf }: RowCosts = { positions: totalTokens, costOf: (capacity) => capacity },
  ) {
    this.totalTokens = wholeUnits(totalTokens)
    this.positions = wholeUnits(positions)
    this.#costOf = costOf
  }

  get tokensLeft(): number {
    return this.totalTokens - this.#usedTokens
  }

  get numRows(): number {
    return this.#rows.size
  }

  /**
   * A row for a session of at most `maxLength` tokens. Throws `CACHE_TOO_SMALL` where it could never fit and
   * `CACHE_FULL` where it did not fit within the time. A smaller request may overtake a waiting larger one.
   */
  async reserve(maxLength: number, { timeoutMs, signal }: ReserveOptions): Promise<Row> {
    signal?.throwIfAborted()
    if (this.#shapeOf(maxLength) === undefined) {
      throw new PetalsError(
        'CACHE_TOO_SMALL',
        `a session of ${maxLength} tokens does not fit into a cache of ` +
          `${this.totalTokens} tokens; ask for a shorter one, or serve with a larger --attn-cache-tokens`,
      )
    }
    const row = this.#tryReserve(maxLength)
    return row ?? this.#wait(maxLength, timeoutMs, signal)
  }

  release(row: Row): void {
    if (!this.#rows.delete(row.offset)) return
    this.#usedTokens -= this.#costOf(row.capacity)
    for (const waiter of this.#waiters) {
      const granted = this.#tryReserve(waiter.maxLength)
      if (granted === undefined) continue
      this.#waiters.delete(waiter)
      waiter.grant(granted)
    }
  }

  #wait(maxLength: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<Row> {
    const { promise, resolve, reject } = Promise.withResolvers<Row>()
    const waiter: Waiter = { maxLength, grant: resolve }
    this.#waiters.add(waiter)
    // Left at once: a row that is freed before the rejection is seen must not go to somebody who has gone.
    const leave = (reason: Error): void => {
      this.#waiters.delete(waiter)
      reject(reason)
    }
    const timer = setTimeout(
      () =>
        leave(
          new PetalsError(
            'CACHE_FULL',
            `no room for a session of ${maxLength} tokens within ${timeoutMs / 1000} s: ${this.tokensLeft} of ` +
              `${this.totalTokens} cache tokens are free, ${this.#rows.size} sessions hold the rest`,
          ),
        ),
      timeoutMs,
    )
    const onAbort = (): void => leave(signal?.reason as Error)
    signal?.addEventListener('abort', onAbort, { once: true })
    return promise.finally(() => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    })
  }

  /** A power of two where one fits, so that rows of it can lie side by side. */
  #shapeOf(maxLength: number): { capacity: number; step: number } | undefined {
    const power = Math.max(ROW_UNIT, 2 ** Math.ceil(Math.log2(maxLength)))
    const shapes = [
      { capacity: power, step: power },
      { capacity: wholeUnits(maxLength), step: ROW_UNIT },
    ]
    return shapes.find(({ capacity }) => capacity <= this.positions && this.#costOf(capacity) <= this.totalTokens)
  }

  #tryReserve(maxLength: number): Row | undefined {
    const { capacity, step } = this.#shapeOf(maxLength)!
    if (this.#costOf(capacity) > this.tokensLeft) return undefined
    for (let offset = 0; offset + capacity <= this.positions; offset += step) {
      if (this.#isFree(offset, capacity)) {
        const row = { offset, capacity }
        this.#rows.set(offset, row)
        this.#usedTokens += this.#costOf(capacity)
        return row
      }
    }
    return undefined
  }

  #isFree(offset: number, capacity: number): boolean {
    for (const row of this.#rows.values()) {
      if (row.offset < offset + capacity && offset < row.offset + row.capacity) return false
    }
    return true
  }
}

function wholeUnits(tokens: number): number {
  return Math.max(1, Math.ceil(tokens / ROW_UNIT)) * ROW_UNIT
}
