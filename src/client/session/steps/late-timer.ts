/**
 * Calls a function when something takes too long. Steps come hundreds of times a second, so instead of a timer per step
 * one timer keeps running; when it fires, it checks whether the current deadline has passed.
 */
export class LateTimer {
  #timer: NodeJS.Timeout | undefined
  #dueAt = Infinity
  #onLate: () => void = () => undefined

  /** Calls `onLate` in `ms` milliseconds, replacing the previous deadline. */
  set(ms: number, onLate: () => void): void {
    this.#dueAt = performance.now() + ms
    this.#onLate = onLate
    this.#timer ??= setTimeout(() => this.#look(), ms)
  }

  /** Removes the deadline: what was waited for has come. */
  clear(): void {
    this.#dueAt = Infinity
  }

  /** Stops the timer. */
  close(): void {
    this.clear()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    this.#timer = undefined
    if (this.#dueAt === Infinity) return
    const leftMs = this.#dueAt - performance.now()
    if (leftMs >= 1) {
      this.#timer = setTimeout(() => this.#look(), leftMs)
      return
    }
    this.clear()
    this.#onLate()
  }
}
