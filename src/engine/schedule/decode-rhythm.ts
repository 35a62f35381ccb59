import type { SequenceId } from '../cache/kv-cache.ts'
import type { CacheStep } from './work.ts'

/** A run may wait for its companions as long as this share of what one takes. */
const WAIT_SHARE = 1.5

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
  #runMs = 0

  /**
   * A decode step of a sequence has come, at this moment: not when somebody had the time to look, or a pause would
   * seem to be as long as the runs that others had meanwhile.
   */
  arrived(sequence: SequenceId, at: number): void {
    const companion = this.#companions.get(sequence)
    if (companion !== undefined) companion.pauseMs += LATEST * (at - companion.doneAt - companion.pauseMs)
  }

  /** A run of these has ended, after so long. */
  ran(steps: readonly CacheStep[], milliseconds: number, now: number): void {
    this.#runMs = milliseconds
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
   * than those of the client `except`: for as long as it may, where one of them is expected within that time.
   */
  wait(ready: ReadonlySet<SequenceId>, since: number, now: number, except?: string): number {
    const until = since + WAIT_SHARE * this.#runMs
    if (until <= now) return 0
    for (const [sequence, { client, doneAt, pauseMs }] of this.#companions) {
      if (client === except || ready.has(sequence) || doneAt + pauseMs > until) continue
      // One that is late by its whole pause again has stopped.
      if (now < doneAt + 2 * pauseMs) return until - now
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
      const until = at + Math.min(pauseMs, WAIT_SHARE * this.#runMs)
      if (companion.client !== client && now < until && (next === undefined || at < next.at)) next = { at, until }
    }
    return next
  }
}
