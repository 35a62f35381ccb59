import type { Row } from './rows/row.ts'

/**
 * The KV cache of a span as the rest of the engine knows it: sequences by their ids, lengths in tokens, blocks counted
 * within the span. Where a sequence lies is for its kind of cache and the runner that binds it. There is one kind
 * today, rows of one piece of memory (`rows/`); pages, or a buffer for each sequence, can take its place on a device
 * that wants them.
 *
 * A cache has two halves, each with one thread: accounts in the thread that opens sessions, which can wait for room,
 * and storage in the engine thread.
 */

/** Names a sequence: no other open one of the engine has the same. */
export type SequenceId = number

/** Where a sequence lies. Plain data that goes from the accounts to the storage; nobody else looks into it. */
export type Place = Row

/** Blocks `start` to `end` of a span, counted within it. */
export interface BlockRange {
  readonly start: number
  readonly end: number
}

export interface ReserveOptions {
  /** How long to wait for room; 0 fails at once. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** Whose it is: sequences of a client that has many more than others lie apart from these. */
  readonly client?: string | undefined
  /**
   * Asked where there is no room, now and while it is waited for: has something given back that nobody needs now, in
   * the same turn. False where there is nothing like that.
   */
  readonly makeRoom?: (() => boolean) | undefined
}

/** Who holds how much of a cache. */
export interface CacheAccounts {
  /** Tokens that every block has memory for. */
  readonly totalTokens: number
  /** Of these, the ones that no sequence has taken. */
  readonly tokensLeft: number
  readonly numSequences: number

  /**
   * A place for a sequence of at most `maxLength` tokens, all of which would fit into what is free now. Throws
   * `CACHE_TOO_SMALL` where it never could and `CACHE_FULL` where it did not within the time.
   */
  reserve(maxLength: number, options: ReserveOptions): Promise<Place>

  /**
   * Takes what a sequence of `length` tokens needs, before they are written; `undefined` where it has it already.
   * Nothing where the whole place was taken when it was reserved. Throws `CACHE_OUTGROWN` where others do not give
   * enough back within the time.
   */
  grow(place: Place, length: number, options: ReserveOptions): Promise<void> | undefined

  /** Whether the cache still holds all that a step at `position` attends to. */
  reaches(place: Place, position: number): boolean

  /** Gives the place back; may be called twice. */
  release(place: Place): void

  /** Nobody gets room any more: whoever waits for some, or would have to, is told `reason`. */
  close(reason: Error): void
}

/** Where the keys and values of sequences lie. Synchronous. */
export interface KvCache {
  /** An empty sequence at a place that the accounts have given. */
  reserve(sequence: SequenceId, place: Place): void

  /** Tokens that a sequence holds. */
  lengthOf(sequence: SequenceId): number

  /** `tokens` positions behind those that the sequence holds have been written. */
  append(sequence: SequenceId, tokens: number): void

  /**
   * Forgets all positions from `length` on. Throws `SESSION_POSITION` where the sequence holds fewer, or no longer
   * holds all that a step there attends to; it is as before then.
   */
  truncate(sequence: SequenceId, length: number): void

  /** Makes room for `tokens` more, in blocks that hold only the latest positions. Nothing where there is room. */
  slide(sequence: SequenceId, tokens: number, blocks: BlockRange): void

  /**
   * `to` holds what `from` holds of its first `tokens` positions. What is written to either from then on does not show
   * in the other. Throws `SESSION_FORK` where `to` could not hold it as `from` does, and `RuntimeError`.
   */
  fork(from: SequenceId, to: SequenceId, tokens: number, blocks: BlockRange): void

  /** The sequence is over. */
  release(sequence: SequenceId): void
}
