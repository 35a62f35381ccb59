import type { Worker } from 'node:worker_threads'
import { orAborted } from '../abort.ts'
import type { AnswerOf, ArgsOf, Calls } from './calls.ts'
import { Thread } from './thread.ts'

/** How a thread is started, and for how long it waits for calls. */
export interface IdleThreadOptions {
  readonly start: () => Worker
  /** Makes the error that calls reject with when the thread has died, from the reason. */
  readonly lost: (reason: string) => Error
  /** How long it stays without calls, in milliseconds. */
  readonly idleMs?: number
}

const IDLE_MS = 60_000

/**
 * A thread for what is rare and takes much: a call starts it, and it ends a while after the last answer. Calls are
 * handed to it one after another, so that those who leave while they wait leave it no work. Where it dies, the call
 * rejects, and the next one starts another.
 */
export class IdleThread<C extends Calls<C>> {
  readonly #options: IdleThreadOptions
  #thread: Thread<C> | undefined
  /** Resolves when all calls so far are over; undefined when they are. */
  #last: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #ended: Error | undefined

  constructor(options: IdleThreadOptions) {
    this.#options = options
  }

  /** Whether the thread is there. */
  get isRunning(): boolean {
    return this.#thread !== undefined
  }

  /**
   * As `Thread.call`, when all calls before are over. Rejects with the signal's reason as soon as that is aborted; a
   * call that has begun goes on to its end even so.
   */
  async call<K extends keyof C & string>(name: K, args: ArgsOf<C[K]>, signal?: AbortSignal): Promise<AnswerOf<C[K]>> {
    signal?.throwIfAborted()
    const before = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    const last = before === undefined ? promise : before.then(() => promise)
    this.#last = last
    const end = (): void => {
      if (this.#last === last) this.#endLater()
      resolve()
    }
    try {
      if (before !== undefined) await orAborted(before, signal)
    } catch (error) {
      // Those behind still wait for those before.
      void before!.then(end)
      throw error
    }
    const answer = this.#ask(name, args)
    void answer.catch(() => undefined).finally(end)
    return orAborted(answer, signal)
  }

  /** Ends the thread, and starts no other; unanswered and later calls reject with `error`. May be called again. */
  async end(error: Error): Promise<void> {
    this.#ended ??= error
    clearTimeout(this.#timer)
    await this.#thread?.end(error)
  }

  async #ask<K extends keyof C & string>(name: K, args: ArgsOf<C[K]>): Promise<AnswerOf<C[K]>> {
    if (this.#ended !== undefined) throw this.#ended
    clearTimeout(this.#timer)
    this.#thread ??= this.#begin()
    return await this.#thread.call(name, args)
  }

  #begin(): Thread<C> {
    const { start, lost } = this.#options
    const thread = new Thread<C>(start(), (reason) => {
      if (this.#thread === thread) this.#thread = undefined
      return lost(reason)
    })
    return thread
  }

  /** No call waits any more. */
  #endLater(): void {
    this.#last = undefined
    if (this.#ended !== undefined) return
    this.#timer = setTimeout(() => {
      const thread = this.#thread
      this.#thread = undefined
      void thread?.end()
    }, this.#options.idleMs ?? IDLE_MS)
    this.#timer.unref()
  }
}
