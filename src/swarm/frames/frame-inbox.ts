import { SwarmError } from '../errors.ts'
import type { AnyMessage } from './messages.ts'

/**
 * Receives messages in the same turn of the event loop in which they arrive. An exception from a method ends the
 * stream.
 */
export interface MessageListener<M extends AnyMessage> {
  /** A promise that it returns never rejects; until it settles the message is being worked on, and counts. */
  onMessage(message: M): void | Promise<void>
  /** The peer reported an error in an `error` message; the stream stays open. */
  onError(error: Error): void
  /** Called once, as the last method: with null after the peer's `end`, otherwise with the reason. */
  onEnd(error: Error | null): void
}

/** How to wait for a message. */
export interface ReceiveOptions {
  signal?: AbortSignal
  /** How long to wait for the beginning of one. */
  timeoutMs?: number
}

/** What a message that a listener works on takes meanwhile. */
export interface Hold {
  begin(): void
  end(): void
}

type Item<M> = { message: M; bytes: number; hold: Hold } | { error: Error; bytes: number }

interface Waiter<M> {
  resolve(message: M | null): void
  reject(error: unknown): void
}

/** The receiving half of a stream: passes messages to a listener, or keeps them until `receive` is called. */
export class FrameInbox<M extends AnyMessage> {
  readonly #items: Item<M>[] = []
  readonly #waiters: Waiter<M>[] = []
  readonly #onTaken: () => void
  readonly #isArriving: () => boolean
  #listener: MessageListener<M> | undefined
  #queuedBytes = 0
  #ended: { error: Error | null } | undefined

  /** `onTaken` is called whenever messages leave the queue; `isArriving` says whether a part of one has come. */
  constructor(onTaken: () => void, isArriving: () => boolean) {
    this.#onTaken = onTaken
    this.#isArriving = isArriving
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get ended(): boolean {
    return this.#ended !== undefined
  }

  /** Hands on a message that has arrived, or keeps it. */
  deliver(item: Item<M>): void {
    if (this.#listener !== undefined) return handTo(this.#listener, item)
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) return settle(waiter, item)
    this.#items.push(item)
    this.#queuedBytes += item.bytes
  }

  /** Nothing more will arrive. Queued messages can still be read. */
  finish(error: Error | null): void {
    if (this.#ended !== undefined) return
    this.#ended = { error }
    this.#listener?.onEnd(error)
    for (const waiter of this.#waiters.splice(0)) settleEnd(waiter, error)
  }

  /** From now on all messages go to the listener, beginning with the queued ones. */
  listen(listener: MessageListener<M>): void {
    if (this.#listener !== undefined) throw new SwarmError('SWARM_STATE', 'the stream already has a listener')
    this.#listener = listener
    const queued = this.#items.splice(0)
    this.#queuedBytes = 0
    for (const item of queued) handTo(listener, item)
    this.#onTaken()
    if (this.#ended !== undefined) listener.onEnd(this.#ended.error)
  }

  /** The next message, or null after the end. Throws as `FrameStream.receive`. */
  async receive({ signal, timeoutMs }: ReceiveOptions = {}): Promise<M | null> {
    if (this.#listener !== undefined)
      throw new SwarmError('SWARM_STATE', 'the stream has a listener; receive() is not for it')
    signal?.throwIfAborted()
    const item = this.#items.shift()
    if (item !== undefined) {
      this.#queuedBytes -= item.bytes
      this.#onTaken()
      if ('error' in item) throw item.error
      return item.message
    }
    if (this.#ended?.error) throw this.#ended.error
    if (this.#ended !== undefined) return null
    return await this.#wait(signal, timeoutMs)
  }

  async #wait(signal: AbortSignal | undefined, timeoutMs: number | undefined): Promise<M | null> {
    const { promise, resolve, reject } = Promise.withResolvers<M | null>()
    const waiter = { resolve, reject }
    this.#waiters.push(waiter)
    const giveUp = (error: unknown) => {
      const index = this.#waiters.indexOf(waiter)
      if (index >= 0) this.#waiters.splice(index, 1)
      reject(error)
    }
    const onAbort = () => giveUp(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    const onLate = (): void => {
      // How long a message may take to arrive is the stream's affair.
      if (this.#isArriving()) timer?.refresh()
      else giveUp(new SwarmError('SWARM_TIMEOUT', `no message came within ${timeoutMs} ms`))
    }
    const timer = timeoutMs === undefined ? undefined : setTimeout(onLate, timeoutMs)
    try {
      return await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
      clearTimeout(timer)
    }
  }
}

function handTo<M extends AnyMessage>(listener: MessageListener<M>, item: Item<M>): void {
  if ('error' in item) return listener.onError(item.error)
  const done = listener.onMessage(item.message)
  if (!(done instanceof Promise)) return item.hold.end()
  item.hold.begin()
  void done.finally(() => item.hold.end())
}

function settle<M>(waiter: Waiter<M>, item: Item<M>): void {
  if ('error' in item) waiter.reject(item.error)
  else waiter.resolve(item.message)
}

function settleEnd<M>(waiter: Waiter<M>, error: Error | null): void {
  if (error === null) waiter.resolve(null)
  else waiter.reject(error)
}
