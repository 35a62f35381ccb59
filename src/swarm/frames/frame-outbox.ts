import type { Uint8ArrayList } from 'uint8arraylist'
import { SwarmError } from '../errors.ts'
import { WRITE_STALL_MS } from '../limits.ts'
import type { ByteStream } from './loopback.ts'

/** How to wait until a message is sent. */
export interface SendOptions {
  signal?: AbortSignal
  /** How long the peer may accept no bytes at all; 30 s by default. A slow peer that keeps reading is not cut off. */
  timeoutMs?: number
}

interface Pending {
  bytes: Uint8Array | Uint8ArrayList
  written: boolean
  /** Its writer waits no more; it is not sent. */
  gone: boolean
  readonly stallMs: number
  settle(error?: unknown): void
}

/** Entries of frames that are sent; beyond so many they are removed. */
const KEPT_ENTRIES = 256

const NO_BYTES = new Uint8Array(0)

/** How much may wait in an outbox, and what it tells its stream. */
export interface FrameOutboxOptions {
  readonly maxBacklogBytes: number
  /** Ends the whole stream. */
  readonly abort: (error: Error) => void
  /** Called whenever frames have left the queue. */
  readonly onFlushed: () => void
}

/**
 * The sending half of a stream: a queue of frames, each of which is passed to libp2p only when the stream has taken all
 * frames before it. libp2p itself would buffer without bound, and its `onDrain()` works only once per stream.
 */
export class FrameOutbox {
  readonly #stream: ByteStream
  readonly #maxBacklogBytes: number
  readonly #abort: (error: Error) => void
  readonly #onFlushed: () => void
  /** Those from `#head` on wait; the others are removed now and then: a frame costs the same in any queue. */
  #pending: Pending[] = []
  #head = 0
  #numWaiting = 0
  #backlogBytes = 0
  #bytesHanded = 0
  #error: Error | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(stream: ByteStream, { maxBacklogBytes, abort, onFlushed }: FrameOutboxOptions) {
    this.#onFlushed = onFlushed
    this.#stream = stream
    this.#abort = abort
    this.#maxBacklogBytes = maxBacklogBytes
    // libp2p's own listener for `drain` runs first and writes in a microtask; `#flush` must come after that.
    stream.addEventListener('drain', () => queueMicrotask(() => this.#flush()))
  }

  /** Bytes of frames whose `write` has not settled yet. */
  get backlogBytes(): number {
    return this.#backlogBytes
  }

  /** Bytes of all frames that were handed to the stream. */
  get bytesHanded(): number {
    return this.#bytesHanded
  }

  /** Frames whose `write` has not settled yet. */
  get numWaiting(): number {
    return this.#numWaiting
  }

  /**
   * Queues a frame. Settles when the stream has taken it and would take more; until then the memory of `bytes` must not
   * change.
   */
  async write(
    bytes: Uint8Array | Uint8ArrayList,
    { signal, timeoutMs = WRITE_STALL_MS }: SendOptions = {},
  ): Promise<void> {
    if (this.#error !== undefined) throw this.#error
    signal?.throwIfAborted()
    const first = this.#numWaiting === 0
    if (!first && this.#backlogBytes + bytes.byteLength > this.#maxBacklogBytes) {
      throw new SwarmError(
        'SWARM_BACKLOG',
        `${this.#backlogBytes} bytes already wait to be sent on this stream: await send() before the next`,
      )
    }
    if (first && !this.#congested) {
      this.#hand(bytes)
      if (!this.#congested) return
      await this.#wait(bytes, true, signal, timeoutMs)
    } else {
      await this.#wait(bytes, false, signal, timeoutMs)
    }
  }

  /** Rejects all pending and all later writes. */
  fail(error: Error): void {
    this.#error ??= error
    clearTimeout(this.#timer)
    const waiting = this.#pending.slice(this.#head)
    this.#pending = []
    this.#head = 0
    this.#numWaiting = 0
    this.#backlogBytes = 0
    for (const pending of waiting) {
      if (pending.gone) continue
      pending.gone = true
      pending.settle(this.#error)
    }
  }

  get #congested(): boolean {
    return this.#stream.writableNeedsDrain || this.#stream.writeBufferLength > 0
  }

  #hand(bytes: Uint8Array | Uint8ArrayList): void {
    try {
      this.#bytesHanded += bytes.byteLength
      this.#stream.send(bytes)
    } catch (error) {
      throw new SwarmError('SWARM_STREAM_LOST', 'the stream is closed for writing', { cause: error })
    }
  }

  async #wait(
    bytes: Uint8Array | Uint8ArrayList,
    written: boolean,
    signal: AbortSignal | undefined,
    stallMs: number,
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const pending: Pending = {
      bytes,
      written,
      gone: false,
      stallMs,
      settle: (error) => (error === undefined ? resolve() : reject(error)),
    }
    const onAbort = () => this.#giveUp(pending, signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#pending.push(pending)
    this.#numWaiting += 1
    this.#backlogBytes += bytes.byteLength
    if (this.#numWaiting === 1) this.#watch()
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /**
   * Removes a frame whose signal was aborted. If part of it has been written it cannot be removed, so the stream is
   * aborted.
   */
  #giveUp(pending: Pending, reason: unknown): void {
    if (pending.gone) return
    pending.gone = true
    this.#forget(pending)
    pending.settle(reason)
    if (pending.written)
      this.#abort(new SwarmError('SWARM_STREAM_LOST', 'a frame was given up half-written', { cause: reason }))
    else this.#watch()
  }

  /** Stops counting a frame. */
  #forget(pending: Pending): void {
    this.#numWaiting -= 1
    this.#backlogBytes -= pending.bytes.byteLength
    pending.bytes = NO_BYTES
  }

  /** The frame whose turn it is; forgets those that are gone. */
  #next(): Pending | undefined {
    while (this.#pending[this.#head]?.gone) this.#head += 1
    if (this.#head > KEPT_ENTRIES && this.#head * 2 > this.#pending.length) {
      this.#pending = this.#pending.slice(this.#head)
      this.#head = 0
    }
    return this.#pending[this.#head]
  }

  #flush(): void {
    const before = this.#numWaiting
    while (!this.#congested) {
      const head = this.#next()
      if (head === undefined) break
      if (head.written) {
        head.gone = true
        this.#forget(head)
        head.settle()
        continue
      }
      head.written = true
      try {
        this.#hand(head.bytes)
      } catch (error) {
        this.fail(error as Error)
      }
    }
    if (this.#numWaiting === before) return
    this.#watch()
    this.#onFlushed()
  }

  /** Sets the timer of the frame at the head of the queue. Without a queue there is no timer. */
  #watch(): void {
    clearTimeout(this.#timer)
    const head = this.#next()
    if (head === undefined) return
    const unsentBytes = this.#stream.writeBufferLength
    this.#timer = setTimeout(() => {
      this.#flush()
      if (this.#next() !== head) return
      if (this.#stream.writeBufferLength < unsentBytes) return this.#watch()
      const error = new SwarmError('SWARM_TIMEOUT', `the peer took no bytes for ${head.stallMs} ms`)
      this.fail(error)
      this.#abort(error)
    }, head.stallMs)
  }
}
