import { PetalsError } from '../../../base/errors.ts'
import type { CacheAccounts, ReserveOptions } from '../kv-cache.ts'
import { FreeSpace } from './free-space.ts'
import { ROW_UNIT, type Row, wholeUnits } from './row.ts'
import type { RowBases } from './window.ts'

export interface RowAccountsOptions {
  /** Memory, in tokens that every block holds; rounded up to whole units. */
  readonly totalTokens: number
  /** Where rows can lie, in tokens: as many, or more where memory is only taken as it is written. */
  readonly positions?: number | undefined
  /** What a row of so many written tokens takes of the memory, in tokens that every block holds. */
  readonly costOf?: ((tokens: number) => number) | undefined
  /** Whether a row takes memory as it is written, and not all of it when it is reserved. */
  readonly sparse?: boolean | undefined
  /** Where windowed blocks begin, in a span that has some. */
  readonly bases?: RowBases | undefined
}

/** Rows that a client may have beyond what anybody else has before others of its rows lie apart. */
const EXCESS_ROWS = 4

/** How often who waits asks whether there is something by now that nobody needs. */
const MAKE_ROOM_MS = 100

interface Waiter {
  /** Whether it got what it waits for. */
  readonly attempt: () => boolean
  readonly leave: (reason: Error) => void
}

/**
 * Deals out rows of the cache. Capacities are powers of two and offsets their multiples, so that rows of one capacity
 * that lie side by side can be bound as one batch. Where memory is taken only as it is written, a row costs what its
 * sequence has written, so many may be declared longer than they become; a new one is let in only where its whole
 * length would fit into what is free just then. Pure bookkeeping: it never sees the memory.
 */
export class RowAccounts implements CacheAccounts {
  readonly totalTokens: number
  readonly positions: number
  readonly #costOf: (tokens: number) => number
  readonly #sparse: boolean
  readonly #bases: RowBases | undefined
  readonly #space: FreeSpace
  /** What each row has taken. */
  readonly #taken = new Map<Row, number>()
  readonly #clients = new Map<Row, string>()
  /** Rows that have to grow go before those that have yet to begin. */
  readonly #growing = new Set<Waiter>()
  readonly #opening = new Set<Waiter>()
  #usedTokens = 0
  /** Why nobody waits any more. */
  #closed: Error | undefined

  constructor({ totalTokens, positions, costOf, sparse, bases }: RowAccountsOptions) {
    this.totalTokens = wholeUnits(totalTokens)
    this.positions = wholeUnits(positions ?? totalTokens)
    this.#costOf = costOf ?? ((tokens) => tokens)
    this.#sparse = sparse ?? false
    this.#bases = bases
    this.#space = new FreeSpace(this.positions)
  }

  get tokensLeft(): number {
    return this.totalTokens - this.#usedTokens
  }

  get numSequences(): number {
    return this.#space.numRows
  }

  /** As `CacheAccounts.reserve`. A smaller request may overtake a waiting larger one. */
  async reserve(maxLength: number, options: ReserveOptions): Promise<Row> {
    const { signal, client = '' } = options
    signal?.throwIfAborted()
    const shape = this.#shapeOf(maxLength)
    if (shape === undefined) {
      throw new PetalsError(
        'CACHE_TOO_SMALL',
        `a session of ${maxLength} tokens does not fit into a cache of ${this.totalTokens} tokens; ` +
          'ask for a shorter one, or serve with a larger --attn-cache-tokens',
      )
    }
    let row: Row | undefined
    const attempt = (): boolean => {
      if (this.#costOf(shape.wanted) > this.tokensLeft) return false
      row = this.#find(shape, client)
      if (row === undefined) return false
      this.#space.take(row)
      this.#clients.set(row, client)
      this.#charge(row, this.#sparse ? ROW_UNIT : shape.wanted)
      return true
    }
    const what = { code: 'CACHE_FULL', text: `a session of ${maxLength} tokens` }
    if (!succeeds(attempt, options)) await this.#wait(this.#opening, attempt, what, options)
    return row!
  }

  grow(row: Row, length: number, options: ReserveOptions): Promise<void> | undefined {
    if (!this.#sparse) return undefined
    const attempt = (): boolean => {
      const taken = this.#taken.get(row)
      // A row that was released meanwhile needs nothing any more.
      if (taken === undefined) return true
      if (this.#costOf(wholeUnits(length)) - taken > this.tokensLeft) return false
      this.#charge(row, length)
      return true
    }
    if (succeeds(attempt, options)) return undefined
    const what = { code: 'CACHE_OUTGROWN', text: `${length} tokens of an open session` }
    return this.#wait(this.#growing, attempt, what, options)
  }

  reaches(row: Row, position: number): boolean {
    return this.#bases?.reaches(row, position) ?? true
  }

  release(row: Row): void {
    const taken = this.#taken.get(row)
    if (taken === undefined) return
    this.#taken.delete(row)
    this.#clients.delete(row)
    this.#space.free(row)
    this.#usedTokens -= taken
    for (const waiters of [this.#growing, this.#opening]) for (const { attempt } of waiters) attempt()
  }

  close(reason: Error): void {
    this.#closed ??= reason
    for (const waiters of [this.#growing, this.#opening]) for (const { leave } of waiters) leave(this.#closed)
  }

  /**
   * A free row. Rows of one run lie side by side, so what one client has in excess of all others lies at the other end:
   * between these it would make two runs of what could be one.
   */
  #find({ capacity, step }: { readonly capacity: number; readonly step: number }, client: string): Row | undefined {
    const counts = new Map<string, number>()
    for (const other of this.#clients.values()) counts.set(other, (counts.get(other) ?? 0) + 1)
    const own = counts.get(client) ?? 0
    counts.delete(client)
    const most = Math.max(0, ...counts.values())
    const isExcess = most > 0 && own >= most + EXCESS_ROWS
    return isExcess ? this.#space.findLast(capacity, step) : this.#space.find(capacity, step)
  }

  /** What a row of `length` written tokens takes; never less than it has taken before. */
  #charge(row: Row, length: number): void {
    const before = this.#taken.get(row) ?? 0
    const cost = Math.max(before, this.#costOf(wholeUnits(length)))
    this.#taken.set(row, cost)
    this.#usedTokens += cost - before
  }

  #wait(
    waiters: Set<Waiter>,
    attempt: () => boolean,
    what: { readonly code: string; readonly text: string },
    { timeoutMs, signal, makeRoom }: ReserveOptions,
  ): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Left at once: what is freed before the caller has seen that must not go to somebody who has gone.
    const waiter: Waiter = {
      attempt: () => {
        if (!attempt()) return false
        waiters.delete(waiter)
        resolve()
        return true
      },
      leave: (reason) => {
        waiters.delete(waiter)
        reject(reason)
      },
    }
    waiters.add(waiter)
    const { leave } = waiter
    const timer = setTimeout(() => {
      const seconds = timeoutMs / 1000
      const free = `${this.tokensLeft} of ${this.totalTokens} cache tokens are free`
      const others = `${this.numSequences} sessions hold the rest`
      leave(new PetalsError(what.code, `no room for ${what.text} within ${seconds} s: ${free}, ${others}`))
    }, timeoutMs)
    const askAgain = makeRoom && setInterval(makeRoom, MAKE_ROOM_MS)
    const onAbort = (): void => leave(signal?.reason as Error)
    signal?.addEventListener('abort', onAbort, { once: true })
    return promise.finally(() => {
      clearTimeout(timer)
      clearInterval(askAgain)
      signal?.removeEventListener('abort', onAbort)
    })
  }

  /** A power of two where one fits, so that rows of it can lie side by side; `wanted` tokens of it may be written. */
  #shapeOf(maxLength: number): { capacity: number; step: number; wanted: number } | undefined {
    const power = Math.max(ROW_UNIT, 2 ** Math.ceil(Math.log2(maxLength)))
    const exact = wholeUnits(maxLength)
    return [
      { capacity: power, step: power, wanted: this.#sparse ? exact : power },
      { capacity: exact, step: ROW_UNIT, wanted: exact },
    ].find(({ capacity, wanted }) => capacity <= this.positions && this.#costOf(wanted) <= this.totalTokens)
  }
}

/** Whether `attempt` succeeds, if need be once all has been given back that nobody needs now. */
function succeeds(attempt: () => boolean, { makeRoom }: ReserveOptions): boolean {
  while (!attempt()) if (makeRoom?.() !== true) return false
  return true
}
