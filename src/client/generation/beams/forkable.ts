import type { ResolvedOptions } from '../../../sampling/options/options.ts'
import { Steps } from '../choosing/steps.ts'
import { type TokenSource, feed } from '../choosing/token-source.ts'

/** A sequence whose state can be copied: what it was fed is computed once for all that follow from it. */
export interface ForkableSource extends TokenSource {
  /** Tokens that it was fed; set it to go on from an earlier one. */
  position: number
  /** A new one in the same state. */
  fork(): Promise<ForkableSource>
  /** Takes over the state of another, in place of its own. */
  forkFrom(source: ForkableSource): Promise<void>
  close(): Promise<void>
}

/** Feeds a prompt; gives what the next token is chosen from, undefined where the signal is aborted. */
export async function prefill(
  source: TokenSource,
  promptIds: readonly number[],
  options: ResolvedOptions,
): Promise<Float32Array | undefined> {
  const steps = new Steps((ids) => feed(source, ids, options), options.signal)
  steps.start(promptIds)
  return steps.result()
}

/** Sources that were made from one; they are closed together, also those that are still being made. */
export class Forks {
  readonly #origin: ForkableSource
  readonly #made: Promise<ForkableSource>[] = []

  constructor(origin: ForkableSource) {
    this.#origin = origin
  }

  /** A new source in the state of `parent`, by default the origin. */
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

/** All or the first failure, but not before every one is over: nothing may be under way when its source is closed. */
export async function allOver<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work)
  return Promise.all(work)
}
