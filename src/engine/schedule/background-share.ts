/** The share of time that passes get while inference goes on: decode steps take that much longer. */
const SHARE = 0.15

/** Inference goes on until nothing of it has run for so long. */
const ACTIVE_MS = 50

/**
 * When a piece of a pass may run beside inference. While inference goes on, time earns credit that pieces spend, also
 * while the device is idle for the moment between two steps: a step that comes then would have to wait for the piece.
 */
export class BackgroundShare {
  #creditMs = 0
  #creditAt = -Infinity
  #inferenceAt = -Infinity

  /** A pass begins to wait. */
  begin(now: number): void {
    this.#earn(now)
    this.#creditMs = 0
  }

  inferenceRan(now: number): void {
    this.#inferenceAt = now
  }

  pieceRan(milliseconds: number, now: number): void {
    this.#earn(now)
    this.#creditMs -= milliseconds
  }

  /** Milliseconds until the next piece may run. `inferenceWaits`: something of it is ready now. */
  delay(inferenceWaits: boolean, now: number): number {
    const quietMs = now - this.#inferenceAt
    if (!inferenceWaits && quietMs >= ACTIVE_MS) return 0
    const credit = Math.min(0, this.#creditMs + SHARE * (now - this.#creditAt))
    const earned = -credit / SHARE
    return inferenceWaits ? earned : Math.min(earned, ACTIVE_MS - quietMs)
  }

  #earn(now: number): void {
    this.#creditMs = Math.min(0, this.#creditMs + SHARE * (now - this.#creditAt))
    this.#creditAt = now
  }
}
