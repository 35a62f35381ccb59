import { setTimeout as sleep } from 'node:timers/promises'
import { orAborted } from '../../../base/abort.ts'
import { isTransient } from '../../../base/errors.ts'
import { NoRouteError } from '../../remote/routes/routing.ts'

/** How long to try, and what to do between attempts. */
export interface PatienceOptions {
  /** How long after the start another attempt may begin. */
  readonly timeoutMs: number
  /** Called before each attempt; if it throws, that error ends them. */
  readonly check: () => void
  /** Aborted, it ends all at once, with its reason. */
  readonly signal?: AbortSignal | undefined
  /** Called where the signal has ended an attempt, which nobody waits for any more and which still goes on. */
  readonly abandon?: (() => void) | undefined
  /** Called between two attempts. */
  readonly refresh: () => Promise<void>
  /** Why the first attempt is made, as far as that is known: it is told where this attempt takes long. */
  readonly because: Error
  /**
   * Called if there is no success soon: with the last attempt's error, or `because`, and how long will be waited at
   * most; once more if the reason turns out to be another.
   */
  readonly onWait: (error: Error, leftMs: number) => void
}

/** How long after the first failure the wait is told: most failures are over by then. */
const TOLD_AFTER_MS = 600

/** How long the first attempt may take without a word. */
const SLOW_MS = 2000

/**
 * Calls `attempt` until it succeeds, with growing pauses: servers come and go. Throws an error that waiting does
 * not cure, or the last attempt's when the time is over.
 */
export async function patiently<T>(
  attempt: () => Promise<T>,
  { timeoutMs, check, signal, abandon, refresh, because, onWait }: PatienceOptions,
): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs
  const notice = new WaitNotice(because, (error) => onWait(error, giveUpAt - performance.now()))
  try {
    for (let delayMs = 100; ; delayMs = Math.min(delayMs * 2, 2000)) {
      check()
      signal?.throwIfAborted()
      try {
        return await orAborted(attempt(), signal)
      } catch (error) {
        if (signal?.aborted === true) abandon?.()
        if (signal?.aborted === true || !mayPass(error) || performance.now() + delayMs > giveUpAt) throw error
        notice.failed(error as Error)
      }
      await orAborted(
        refresh().then(() => sleep(delayMs)),
        signal,
      )
    }
  } finally {
    notice.stop()
  }
}

/** Says why somebody waits: once it takes long, and once more if the reason turns out to be another. */
class WaitNotice {
  readonly #because: Error
  readonly #onWait: (error: Error) => void
  /** The reasons that were told. */
  readonly #told: Error[] = []
  #lastError: Error | undefined
  #timer: NodeJS.Timeout

  constructor(because: Error, onWait: (error: Error) => void) {
    this.#because = because
    this.#onWait = onWait
    this.#timer = setTimeout(() => this.#tell(), SLOW_MS)
  }

  /** An attempt has failed, and there will be another one. */
  failed(error: Error): void {
    const isFirst = this.#lastError === undefined
    this.#lastError = error
    if (isFirst && this.#told.length === 0) {
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#tell(), TOLD_AFTER_MS)
    } else if (this.#told.length === 1 && this.#told[0] === this.#because) {
      this.#tell()
    }
  }

  /** Says nothing more. */
  stop(): void {
    clearTimeout(this.#timer)
  }

  #tell(): void {
    const reason = this.#lastError ?? this.#because
    this.#told.push(reason)
    this.#onWait(reason)
  }
}

function mayPass(error: unknown): boolean {
  return isTransient(error) && !(error instanceof NoRouteError && error.isFinal)
}
