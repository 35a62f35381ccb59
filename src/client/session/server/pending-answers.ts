import { TimeoutError } from '../../../base/errors.ts'

/** An answer that is waited for. */
export interface PendingAnswer<T, About> {
  /** What its taker needs to know of the question. */
  readonly about: About
  readonly resolve: (answer: T) => void
  readonly reject: (error: Error) => void
}

/** How long an answer is waited for, and to what. */
export interface AnswerLimit {
  /** Names the question in the error. */
  readonly what: string
  readonly timeoutMs: number
}

/** Answers that a server owes, by number: each comes, or fails when its time is over or the server is lost. */
export class PendingAnswers<T, About> {
  readonly #peerId: string
  readonly #pending = new Map<number, PendingAnswer<T, About>>()
  #ended: Error | undefined

  constructor(peerId: string) {
    this.#peerId = peerId
  }

  /** The answer of this number that is waited for. */
  get(number: number): PendingAnswer<T, About> | undefined {
    return this.#pending.get(number)
  }

  /** Waits for an answer, which `reject` fails. Rejects with `TimeoutError`, or what `end` was given. */
  wait(
    number: number,
    about: About,
    limit: AnswerLimit,
  ): { readonly answer: Promise<T>; readonly reject: (error: Error) => void } {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#pending.set(number, { about, resolve, reject })
    if (this.#ended !== undefined) reject(this.#ended)
    return { answer: this.#settled(number, promise, limit), reject }
  }

  /** Fails all that are waited for now or later. */
  end(error: Error): void {
    this.#ended ??= error
    for (const { reject } of this.#pending.values()) reject(error)
  }

  async #settled(number: number, promise: Promise<T>, { what, timeoutMs }: AnswerLimit): Promise<T> {
    const isLate = (): void =>
      this.#pending.get(number)?.reject(new TimeoutError(`peer ${this.#peerId} did not answer "${what}"`, timeoutMs))
    // When the time is over, waits one more turn of the event loop: after a pause of this process the answer may have
    // arrived unread.
    const timer = setTimeout(() => setImmediate(isLate), timeoutMs)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#pending.delete(number)
    }
  }
}
