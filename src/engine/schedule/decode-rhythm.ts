import type { SequenceId } from '../cache/kv-cache.ts'

/** A run may wait for its companions as long as this share of what one takes. */
const WAIT_SHARE = 1.5

/** Weight of the latest pause in a sequence's usual one. */
const LATEST = 0.3

interface Companion {
  doneAt: number
  /** Milliseconds from a step's end to the next step. */
  pauseMs: number
}

/**
 * Which sequences decode in step with each other, and how long a run should wait for those that are about to come: two
 * runs of half the rows take nearly twice as long as one.
 */
export class DecodeRhythm {
  readonly #companions = new Map<SequenceId, Companion>()
  #runMs = 0

  /** A decode step of a sequence has come. */
  arrived(sequence: SequenceId, now: number): void {
    const companion = this.#companions.get(sequence)
    if (companion !== undefined) companion.pauseMs += LATEST * (now - companion.doneAt - companion.pauseMs)
  }

  /** A run of these has ended, after so long. */
  ran(sequences: readonly SequenceId[], milliseconds: number, now: number): void {
    this.#runMs = milliseconds
    for (const sequence of sequences) {
      const known = this.#companions.get(sequence)
      if (known === undefined) this.#companions.set(sequence, { doneAt: now, pauseMs: 0 })
      else known.doneAt = now
    }
  }

  forget(sequence: SequenceId): void {
    this.#companions.delete(sequence)
  }

  /**
   * Milliseconds for which a run of the ready sequences, of which the first came at `since`, should wait for others:
   * for as long as it may, where one of them is expected within that time.
   */
  wait(ready: ReadonlySet<SequenceId>, since: number, now: number): number {
    const until = since + WAIT_SHARE * this.#runMs
    if (until <= now) return 0
    for (const [sequence, { doneAt, pauseMs }] of this.#companions) {
      if (ready.has(sequence) || doneAt + pauseMs > until) continue
      // One that is late by its whole pause again has stopped.
      if (now < doneAt + 2 * pauseMs) return until - now
    }
    return 0
  }
}
