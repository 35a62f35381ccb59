/** A model's next-token logits, along one sequence. */
export interface TokenSource {
  /**
   * Tokens that it was fed before, where it has any and knows them: processors and criteria see them before the
   * prompt's.
   */
  readonly heldIds?: readonly number[] | undefined
  /** Feeds ids and gives the logits [vocab] after the last of them, valid until the next call. */
  next(ids: readonly number[]): Promise<Float32Array>
}

/** The steps of one generation, one at a time; an aborted signal starts no more of them. */
export class Steps {
  readonly #source: TokenSource
  readonly #signal: AbortSignal | undefined
  #step: Promise<Float32Array> | undefined

  constructor(source: TokenSource, signal: AbortSignal | undefined) {
    this.#source = source
    this.#signal = signal
  }

  /** A step has been started and its logits not been asked for. */
  get underWay(): boolean {
    return this.#step !== undefined
  }

  start(ids: readonly number[]): void {
    if (this.#signal?.aborted === true) return
    this.#step = this.#source.next(ids)
    // It may fail while something else is awaited, which would end the process; `logits` throws the same.
    this.#step.catch(() => undefined)
  }

  /** What the step under way gives; undefined where it fails and the signal is aborted. */
  async logits(): Promise<Float32Array | undefined> {
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
