/** The steps of one generation, one at a time; an aborted signal starts no more of them. */
export class Steps<T> {
  readonly #run: (ids: readonly number[]) => Promise<T>
  readonly #signal: AbortSignal | undefined
  #step: Promise<T> | undefined

  /** `run`: feeds ids and gives what comes of it. */
  constructor(run: (ids: readonly number[]) => Promise<T>, signal: AbortSignal | undefined) {
    this.#run = run
    this.#signal = signal
  }

  /** A step has been started and its result not been asked for. */
  get underWay(): boolean {
    return this.#step !== undefined
  }

  start(ids: readonly number[]): void {
    if (this.#signal?.aborted === true) return
    this.#step = this.#run(ids)
    // It may fail while something else is awaited, which would end the process; `result` throws the same.
    this.#step.catch(() => undefined)
  }

  /** What the step under way gives; undefined where it fails and the signal is aborted. */
  async result(): Promise<T | undefined> {
    try {
      return await this.#step
    } catch (error) {
      if (this.#signal?.aborted === true) return undefined
      throw error
    } finally {
      this.#step = undefined
    }
  }

  /** Waits until nothing is under way. */
  async settled(): Promise<void> {
    await this.#step?.catch(() => undefined)
  }
}
