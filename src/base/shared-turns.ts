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
  /** What is to be done once for all pieces of a turn. */
  #behind: (() => void)[] = []
  /** When the first piece of this turn began. */
  #began: number | undefined
  /** Whether a piece is being done, or others wait for a turn. */
  #isBusy = false
  /** Whether pieces of this turn are being done, one after another. */
  #isInPieces = false

  constructor(budgetMs = BUDGET_MS, now: () => number = () => performance.now()) {
    this.#budgetMs = budgetMs
    this.#now = now
  }

  /** To be awaited before each piece of work, unless it is undefined: then it is time for it now. */
  next(): Promise<void> | undefined {
    if (!this.#isBusy && this.#tryTakeTurn(this.#endNextTurn)) {
      this.#isBusy = true
      this.#isInPieces = true
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

  /**
   * Calls `work` behind all pieces of this turn, or where none is being done behind what is under way: what they send
   * goes out together.
   */
  behind(work: () => void): void {
    if (this.#isInPieces) this.#behind.push(work)
    else process.nextTick(work)
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
      this.#endPieces()
    } else if (this.#tryTakeTurn(this.#endTurn)) {
      this.#isInPieces = true
      this.#waiting.shift()!()
      this.#goOnBehind()
    } else {
      setImmediate(this.#goOn)
      this.#endPieces()
    }
  }

  #endPieces(): void {
    this.#isInPieces = false
    if (this.#behind.length === 0) return
    const all = this.#behind
    this.#behind = []
    for (const work of all) work()
  }
}

/** Those of this thread. */
export const sharedTurns = new SharedTurns()
