import { orAborted } from '../../base/abort.ts'

interface Waiter {
  readonly isAlone: boolean
  readonly begin: () => void
}

/**
 * Who may use a session now: one step alone, or any number of forks of it at the same time; in the order in which they
 * came.
 */
export class Turns {
  #numForks = 0
  #isStepping = false
  readonly #waiting: Waiter[] = []

  /** Whether nobody uses the session or waits for it. */
  get isFree(): boolean {
    return !this.#isStepping && this.#numForks === 0 && this.#waiting.length === 0
  }

  /** Runs `work` while nothing else uses the session. */
  async alone<T>(work: () => Promise<T> | T): Promise<T> {
    await this.#enter(true, undefined)
    try {
      return await work()
    } finally {
      this.#isStepping = false
      this.#admit()
    }
  }

  /** Runs `work`, which may go on beside other forks. Rejects with the signal's reason if it is aborted before. */
  async beside<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    await this.#enter(false, signal)
    try {
      return await work()
    } finally {
      this.#numForks -= 1
      this.#admit()
    }
  }

  async #enter(isAlone: boolean, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve: begin } = Promise.withResolvers<void>()
    const waiter = { isAlone, begin }
    this.#waiting.push(waiter)
    this.#admit()
    if (!this.#waiting.includes(waiter)) return
    try {
      await orAborted(promise, signal)
    } catch (error) {
      const place = this.#waiting.indexOf(waiter)
      // Admitted at the moment in which its signal was aborted: it has its turn, and gives it back as others do.
      if (place === -1) return
      this.#waiting.splice(place, 1)
      this.#admit()
      throw error
    }
  }

  /** Lets those in whose turn it is. */
  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#isStepping || (next.isAlone && this.#numForks > 0)) return
      this.#waiting.shift()
      if (next.isAlone) this.#isStepping = true
      else this.#numForks += 1
      next.begin()
    }
  }
}
