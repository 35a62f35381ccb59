/** Work of a command on a terminal, one piece after another, that Ctrl-C stops without ending the program. */
export class Interruptible {
  readonly #note: (text: string) => void
  #underWay: AbortController | undefined
  /** Whether Ctrl-C was pressed since the last `begin` while no work was under way. */
  #asked = false

  /** `note` tells the user that a second Ctrl-C ends the program. */
  constructor(note: (text: string) => void) {
    this.#note = note
  }

  /** The user does something else than to press Ctrl-C. */
  begin(): void {
    this.#asked = false
  }

  /** Does work that ends soon after its signal is aborted. */
  async run<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.#underWay = new AbortController()
    try {
      return await work(this.#underWay.signal)
    } finally {
      this.#underWay = undefined
    }
  }

  /** Handles Ctrl-C: stops the work under way. Returns false if the program should end instead. */
  interrupt(): boolean {
    if (this.#underWay !== undefined) {
      if (this.#underWay.signal.aborted) return false
      this.#underWay.abort()
      return true
    }
    if (this.#asked) return false
    this.#asked = true
    this.#note('(Ctrl-C again ends)')
    return true
  }
}
