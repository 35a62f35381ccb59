import { setImmediate as nextTurn } from 'node:timers/promises'

/** Elements that are worked on before the time is looked at: well below a millisecond of simple arithmetic. */
const PIECE = 16_384

/** How long the event loop waits for others' work at most. */
const TURN_MS = 4

/**
 * Long arithmetic on the main thread in pieces: between two of them the event loop gets its turn, as often as it needs
 * to keep the network going.
 */
export class Pace {
  #since = performance.now()

  /** Calls `work` for elements `from` to `until` of `length`, piece by piece. */
  async each(length: number, work: (from: number, until: number) => void): Promise<void> {
    for (let from = 0; from < length; from += PIECE) {
      work(from, Math.min(length, from + PIECE))
      await this.turn()
    }
  }

  /** Lets others run if it has been long enough. */
  async turn(): Promise<void> {
    if (performance.now() - this.#since < TURN_MS) return
    await nextTurn()
    this.#since = performance.now()
  }
}
