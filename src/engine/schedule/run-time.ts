/** Weight that older runs keep. */
const DECAY = 0.97

/** Rows must have differed so much (variance) before their cost is known. */
const MIN_VARIANCE = 0.5

/** What a decode run takes, learnt from those so far as a line: a part for the run, and a part for each of its rows. */
export class RunTime {
  /** Weighted sums over the runs so far. */
  #weight = 0
  #rows = 0
  #time = 0
  #rowsSquared = 0
  #rowsTime = 0
  #rowMs = 0

  /** Milliseconds that a row costs beside the run; 0 where it costs nothing, or while that is not known. */
  get rowMs(): number {
    return this.#rowMs
  }

  /** Milliseconds that a run costs beside its rows. */
  get runMs(): number {
    return this.#weight === 0 ? 0 : Math.max(0, (this.#time - this.#rowMs * this.#rows) / this.#weight)
  }

  /** Milliseconds that a run of so many rows takes; 0 while no run has been seen. */
  of(rows: number): number {
    return this.runMs + rows * this.#rowMs
  }

  /** A decode run of so many rows took so long. */
  ran(rows: number, milliseconds: number): void {
    this.#weight = this.#weight * DECAY + 1
    this.#rows = this.#rows * DECAY + rows
    this.#time = this.#time * DECAY + milliseconds
    this.#rowsSquared = this.#rowsSquared * DECAY + rows * rows
    this.#rowsTime = this.#rowsTime * DECAY + rows * milliseconds
    const mean = this.#rows / this.#weight
    const variance = this.#rowsSquared / this.#weight - mean * mean
    if (variance < MIN_VARIANCE) return
    const covariance = this.#rowsTime / this.#weight - (mean * this.#time) / this.#weight
    this.#rowMs = Math.max(0, covariance / variance)
  }
}
