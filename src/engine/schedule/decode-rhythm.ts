import type { SequenceId } from '../cache/kv-cache.ts'
import type { RunTime } from './run-time.ts'
import type { CacheStep } from './work.ts'

/** A run may wait for its companions as long as this share of what one with all of them takes. */
const WAIT_SHARE = 1.5

/** Who is late by his whole pause again, and this, has stopped. */
const LATE_MS = 2

/** Weight of the latest pause in a sequence's usual one. */
const LATEST = 0.3

interface Companion {
  readonly client: string
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
  readonly #runTime: RunTime
  readonly #maxRows: number

  /** For runs of up to `maxRows` sequences. */
  constructor(runTime: RunTime, maxRows: number) {
    this.#runTime = runTime
    this.#maxRows = maxRows
  }

  /**
   * A decode step of a sequence has come, at this moment: not when somebody had the time to look, or a pause would
   * seem to be as long as the runs that others had meanwhile.
   */
  arrived(sequence: SequenceId, at: number): void {
    const companion = this.#companions.get(sequence)
    if (companion !== undefined) companion.pauseMs += LATEST * (at - companion.doneAt - companion.pauseMs)
  }

  /** A run of these has ended. */
  ran(steps: readonly CacheStep[], now: number): void {
    for (const { sequence, client } of steps) {
      const known = this.#companions.get(sequence)
      if (known === undefined) this.#companions.set(sequence, { client, doneAt: now, pauseMs: 0 })
      else known.doneAt = now
    }
  }

  forget(sequence: SequenceId): void {
    this.#companions.delete(sequence)
  }

  /**
   * Milliseconds for which a run of the ready sequences, of which the first came at `since`, should wait for others
   * than those of the client `except`: for as many as it has room for and are expected within a share of what a run
   * with all of them takes.
   * Were it a share of the latest run's, sequences that are out of step would stay so: runs of one row are short.
   */
  wait(ready: ReadonlySet<SequenceId>, since: number, now: number, except?: string): number {
    const expected: number[] = []
    for (const [sequence, { client, doneAt, pauseMs }] of this.#companions) {
      if (client === except || ready.has(sequence) || now >= doneAt + 2 * pauseMs + LATE_MS) continue
      expected.push(doneAt + pauseMs)
    }
    expected.sort((a, b) => a - b)
    for (let count = Math.min(expected.length, this.#maxRows - ready.size); count > 0; count--) {
      const until = since + WAIT_SHARE * this.#runTime.of(ready.size + count)
      if (until <= now) return 0
      if (expected[count - 1]! <= until) return until - now
    }
    return 0
  }

  /**
   * When the next step of another client than this one is expected, none of which is ready, and until when it is worth
   * a wait; undefined where none is.
   */
  nextOfOthers(client: string, now: number): { readonly at: number; readonly until: number } | undefined {
    let next: { at: number; until: number } | undefined
    for (const companion of this.#companions.values()) {
      const { doneAt, pauseMs } = companion
      const at = doneAt + pauseMs
      const until = at + Math.min(pauseMs, WAIT_SHARE * this.#runTime.of(1))
      if (companion.client !== client && now < until && (next === undefined || at < next.at)) next = { at, until }
    }
    return next
  }
}
