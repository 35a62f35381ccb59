/** How long much small work may go on in one turn of the event loop before the rest of it waits for the next. */
const BUDGET_MS = 3

/**
 * Divides small work among turns of the event loop. A step of one text takes a fraction of a millisecond, but those of
 * many texts become ready at once; done in a row, they would hold up all else. Work that finds the turn used up waits
 * for one of the next, in the order in which it came.
 */
export class SharedTurns {
  readonly #budgetMs: number
  readonly #now: () => number
  readonly #waiting: (() => void)[] = []
  /** When the first piece of this turn began. */
  #began: number | undefined
  /** Whether a piece is being done, or others wait for a turn. */
  #isBusy = false

  constructor(budgetMs = BUDGET_MS, now: () => number = () => performance.now()) {
    this.#budgetMs = budgetMs
    this.#now = now
  }

  /** To be awaited before each piece of work, unless it is undefined: then it is time for it now. */
  next(): Promise<void> | undefined {
    if (!this.#isBusy && this.#tryTakeTurn(this.#endNextTurn)) {
      this.#isBusy = true
      this.#goOnBehind()
      return undefined
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      if (this.#isBusy) return
      this.#isBusy = true
      setImmediate(this.#goOn)
    })
  }

  /** Takes a place in this turn, which begins with the first one and ends by `endTurn`; false where it is used up. */
  #tryTakeTurn(endTurn: () => void): boolean {
    if (this.#began !== undefined) return this.#now() - this.#began < this.#budgetMs
    this.#began = this.#now()
    setImmediate(endTurn)
    return true
  }

  readonly #endTurn = (): void => {
    this.#began = undefined
  }

  /** Where a turn's immediates are still to come, they belong to it. */
  readonly #endNextTurn = (): void => {
    setImmediate(this.#endTurn)
  }

  /** Calls `goOn` behind all that a piece does before it waits for something else. */
  #goOnBehind(): void {
    queueMicrotask(() => process.nextTick(this.#goOn))
  }

  readonly #goOn = (): void => {
    if (this.#waiting.length === 0) {
      this.#isBusy = false
    } else if (this.#tryTakeTurn(this.#endTurn)) {
      this.#waiting.shift()!()
      this.#goOnBehind()
    } else {
      setImmediate(this.#goOn)
    }
  }
}

/** Those of this thread. */
export const sharedTurns = new SharedTurns()
