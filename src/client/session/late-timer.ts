/**
 * Calls when something has taken too long, and costs nothing while all is well: steps come hundreds of times a second,
 * so one timer runs on beside them and looks, when it fires, whether what is waited for now is due.
 */
export class LateTimer {
  #timer: NodeJS.Timeout | undefined
  #dueAt = Infinity
  #onLate: () => void = () => undefined

  /** Calls `onLate` in `ms`, in place of what was set before. */
  set(ms: number, onLate: () => void): void {
    this.#dueAt = performance.now() + ms
    this.#onLate = onLate
    this.#timer ??= setTimeout(() => this.#look(), ms)
  }

  /** What was waited for has come. */
  clear(): void {
    this.#dueAt = Infinity
  }

  /** Ends the timer. */
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
