import type { ResolvedOptions } from '../../../sampling/options/options.ts'
import { Steps } from '../choosing/steps.ts'
import { type TokenSource, feed } from '../choosing/token-source.ts'

/** A token source whose state can be copied, so that what several texts begin with is computed once. */
export interface ForkableSource extends TokenSource {
  /** How many tokens it was fed; may be set to a smaller number. */
  position: number
  /** Makes a new source in the same state. */
  fork(): Promise<ForkableSource>
  /** Replaces its state by that of another source. */
  forkFrom(source: ForkableSource): Promise<void>
  close(): Promise<void>
}

/**
 * Feeds a prompt; returns what the next token is chosen from, as `feed` does, or undefined if the signal is aborted.
 */
export async function prefill(
  source: TokenSource,
  promptIds: readonly number[],
  options: ResolvedOptions,
): Promise<Float32Array | undefined> {
  const steps = new Steps((ids) => feed(source, ids, options), options.signal)
  steps.start(promptIds)
  return steps.result()
}

/** The sources forked from one. They are closed together, including those that are still being made. */
export class Forks {
  readonly #origin: ForkableSource
  readonly #made: Promise<ForkableSource>[] = []

  constructor(origin: ForkableSource) {
    this.#origin = origin
  }

  /** A new source in the state of `parent`; by default, of the original source. */
  add(parent = this.#origin): Promise<ForkableSource> {
    const fork = parent.fork()
    this.#made.push(fork)
    return fork
  }

  async close(): Promise<void> {
    const settled = await Promise.allSettled(this.#made)
    await Promise.all(settled.map((result) => (result.status === 'fulfilled' ? result.value.close() : undefined)))
  }
}

/**
 * All results, or the first failure; settles only when all work has ended, so that nothing is under way when its source
 * is closed.
 */
export async function allOver<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work)
  return Promise.all(work)
}
