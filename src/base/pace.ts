import { setImmediate as nextTurn } from 'node:timers/promises'

/** Elements that are worked on before the time is looked at: well below a millisecond of simple arithmetic. */
const PIECE = 16_384

/** How long the event loop waits for others' work at most. */
const TURN_MS = 4

/** When long work last let others run: one clock for all that is done in pieces on this thread. */
let since = performance.now()

/**
 * Lets others run if it has been long enough: to be awaited again and again in long work on the main thread, so that
 * the event loop gets its turn as often as the network needs it.
 */
export async function turn(): Promise<void> {
  if (performance.now() - since < TURN_MS) return
  await nextTurn()
  since = performance.now()
}

/** Calls `work` for elements `from` to `until` of `length`, piece by piece, and lets others run between them. */
export async function inPieces(length: number, work: (from: number, until: number) => void): Promise<void> {
  for (let from = 0; from < length; from += PIECE) {
    work(from, Math.min(length, from + PIECE))
    await turn()
  }
}
