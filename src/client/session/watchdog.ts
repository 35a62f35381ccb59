import { PetalsError } from '../../base/errors.ts'
import type { Link } from './chain.ts'

export interface WatchdogOptions {
  /** How long a step may take before its servers are asked what they are doing. */
  readonly deadlineMs: number
  /** How long a server may take to say so; one that does not is taken for dead. */
  readonly answerMs: number
}

/** Nothing computes and nothing comes: a hand-over between two servers got lost. */
export class StalledError extends PetalsError {
  constructor(message: string) {
    super('SESSION_STALLED', message)
  }
}

/**
 * Waits for `output`, which step `step` of the links' servers is to give. A frozen peer looks like a slow one, so when the
 * step is late all are asked: who does not answer is given up (`abort`, which fails the step); while one computes, it is
 * waited for; where twice in a row nobody computes, throws `StalledError`.
 */
export async function watchStep<T>(output: Promise<T>, links: readonly Link[], step: number, options: WatchdogOptions): Promise<T> {
  let idleRounds = 0
  for (;;) {
    const done = await settledWithin(output, options.deadlineMs)
    if (done) return output
    const busy = await Promise.all(links.map((link) => isComputing(link, step, options.answerMs)))
    if (await settledWithin(output, 0)) return output
    idleRounds = busy.includes(true) ? 0 : idleRounds + 1
    if (idleRounds >= 2) throw new StalledError(`step ${step} was lost between servers`)
  }
}

async function isComputing({ remote }: Link, step: number, answerMs: number): Promise<boolean> {
  try {
    const { header: { numbers } } = await remote.request({ kind: 'status' }, 'status', answerMs)
    return (numbers?.['received'] ?? 0) >= step && (numbers?.['completed'] ?? 0) < step
  } catch (error) {
    remote.giveUp(error as Error)
    return false
  }
}

async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(resolve, ms, false)
  try {
    return await Promise.race([promise.then(() => true, () => true), late])
  } finally {
    clearTimeout(timer)
  }
}
