import type { Transferable, Worker } from 'node:worker_threads'
import { PetalsError, errorMessage } from '../errors.ts'
import type { AnswerOf, ArgsOf, CallMessage, Calls, CallFault, ReportOf, ThreadMessage } from './calls.ts'

/** A call that has not been answered yet. */
interface Waiting {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
  readonly onReport: ((report: never) => void) | undefined
}

/** What a call may be given besides its argument. */
export interface CallOptions<R> {
  /** Buffers in the argument that are transferred instead of copied. */
  readonly transfer?: readonly Transferable[] | undefined
  readonly onReport?: ((report: R) => void) | undefined
}

/**
 * The caller's side of a worker thread that answers calls (the thread's module uses `answerCalls`). An error thrown in
 * the thread arrives as a `PetalsError` with the same name, code and message. Once the thread is lost or ended,
 * unanswered and later calls reject. A thread without unanswered calls does not keep the process alive.
 */
export class Thread<C extends Calls<C>> {
  readonly #worker: Worker
  readonly #lost: (reason: string) => Error
  readonly #waiting = new Map<number, Waiting>()
  /** Resolved once the thread has loaded its modules and run `prepare`, or has ended. */
  readonly #started = Promise.withResolvers<void>()
  #isStarted = false
  #nextId = 1
  #failure: Error | undefined

  /** `lost` makes the error that calls reject with when the thread has died, from the reason. */
  constructor(worker: Worker, lost: (reason: string) => Error) {
    this.#worker = worker
    this.#lost = lost
    worker.on('message', (message: ThreadMessage) => this.#onMessage(message))
    worker.on('error', (error) => this.abandon(lost(errorMessage(error))))
    worker.on('messageerror', (error) => this.abandon(lost(errorMessage(error))))
    worker.on('exit', (code) => {
      this.#started.resolve()
      this.abandon(lost(`the thread ended with code ${code}`))
    })
  }

  /** Resolves once the thread has prepared itself; rejects with what went wrong there. Calls need not wait for it. */
  async ready(): Promise<void> {
    await this.#started.promise
    if (this.#failure !== undefined) throw this.#failure
  }

  /**
   * Resolves to the answer. Rejects with the error that the thread's handler threw, or, if the thread is lost or ended,
   * with that error.
   */
  call<K extends keyof C & string>(
    name: K,
    args: ArgsOf<C[K]>,
    { transfer = [], onReport }: CallOptions<ReportOf<C[K]>> = {},
  ): Promise<AnswerOf<C[K]>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<AnswerOf<C[K]>>()
    this.#waiting.set(id, { resolve: resolve as Waiting['resolve'], reject, onReport })
    this.#worker.ref()
    try {
      this.#worker.postMessage({ id, name, args } satisfies CallMessage, transfer)
    } catch (error) {
      this.#settle(id)?.reject(error as Error)
    }
    return promise
  }

  /** Rejects all unanswered and all later calls with `error`. The thread runs on, but its answers are ignored. */
  abandon(error: Error): void {
    this.#failure ??= error
    for (const id of this.#waiting.keys()) this.#settle(id)?.reject(this.#failure)
  }

  /**
   * Ends the thread, even in the middle of a call; unanswered calls reject with `error`. Resolves when the thread is
   * gone. May be called again.
   */
  async end(error: Error = this.#lost('the thread was ended')): Promise<void> {
    this.abandon(error)
    this.#worker.ref()
    // A thread that is terminated while it still loads a native module aborts the process.
    await this.#started.promise
    await this.#worker.terminate()
  }

  #onMessage(message: ThreadMessage): void {
    switch (message.type) {
      case 'started':
        this.#isStarted = true
        this.#started.resolve()
        return this.#restWhenIdle()
      case 'unusable':
        this.abandon(errorOf(message.fault))
        return this.#started.resolve()
      case 'report':
        return this.#waiting.get(message.id)?.onReport?.(message.report as never)
      case 'answer':
        return this.#settle(message.id)?.resolve(message.answer)
      case 'fault':
        return this.#settle(message.id)?.reject(errorOf(message.fault))
    }
  }

  /** Removes a call from the unanswered ones and returns it. */
  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    this.#restWhenIdle()
    return waiting
  }

  /** Lets the process end while no call is unanswered. */
  #restWhenIdle(): void {
    if (this.#isStarted && this.#waiting.size === 0) this.#worker.unref()
  }
}

function errorOf({ name, code, message }: CallFault): PetalsError {
  const error = new PetalsError(code, message)
  error.name = name
  return error
}
