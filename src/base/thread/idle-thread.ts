import type { Worker } from 'node:worker_threads'
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
 * A thread for what is rare and takes much: a call starts it, and it ends a while after the last answer. Where it dies,
 * its calls reject, and the next one starts another.
 */
export class IdleThread<C extends Calls<C>> {
  readonly #options: IdleThreadOptions
  #thread: Thread<C> | undefined
  #numCalls = 0
  #timer: NodeJS.Timeout | undefined
  #ended: Error | undefined

  constructor(options: IdleThreadOptions) {
    this.#options = options
  }

  /** Whether the thread is there. */
  get isRunning(): boolean {
    return this.#thread !== undefined
  }

  /** As `Thread.call`. */
  async call<K extends keyof C & string>(name: K, args: ArgsOf<C[K]>): Promise<AnswerOf<C[K]>> {
    if (this.#ended !== undefined) throw this.#ended
    clearTimeout(this.#timer)
    const thread = (this.#thread ??= this.#begin())
    this.#numCalls += 1
    try {
      return await thread.call(name, args)
    } finally {
      this.#numCalls -= 1
      if (this.#numCalls === 0) this.#endLater()
    }
  }

  /** Ends the thread, and starts no other; unanswered and later calls reject with `error`. May be called again. */
  async end(error: Error): Promise<void> {
    this.#ended ??= error
    clearTimeout(this.#timer)
    await this.#thread?.end(error)
  }

  #begin(): Thread<C> {
    const { start, lost } = this.#options
    const thread = new Thread<C>(start(), (reason) => {
      if (this.#thread === thread) this.#thread = undefined
      return lost(reason)
    })
    return thread
  }

  #endLater(): void {
    if (this.#ended !== undefined) return
    this.#timer = setTimeout(() => {
      const thread = this.#thread
      this.#thread = undefined
      void thread?.end()
    }, this.#options.idleMs ?? IDLE_MS)
    this.#timer.unref()
  }
}
