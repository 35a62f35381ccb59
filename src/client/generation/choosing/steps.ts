/** The steps of one generation, at most one under way. After the signal is aborted no step starts. */
export class Steps<T> {
  readonly #run: (ids: readonly number[]) => Promise<T>
  readonly #signal: AbortSignal | undefined
  #step: Promise<T> | undefined

  /** `run` feeds ids and returns what comes of them. */
  constructor(run: (ids: readonly number[]) => Promise<T>, signal: AbortSignal | undefined) {
    this.#run = run
    this.#signal = signal
  }

  /** Whether a step was started whose result has not been asked for. */
  get underWay(): boolean {
    return this.#step !== undefined
  }

  start(ids: readonly number[]): void {
    if (this.#signal?.aborted === true) return
    this.#step = this.#run(ids)
    // A rejection while the caller awaits something else would end the process; `result` still throws it.
    this.#step.catch(() => undefined)
  }

  /** The result of the step under way. Undefined if none is, or if it fails and the signal is aborted. */
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

  /** Resolves when no step is under way. */
  async settled(): Promise<void> {
    await this.#step?.catch(() => undefined)
  }
}
