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
  let lastError: Error | undefined
  const told: Error[] = []
  const tell = (): void => {
    told.push(lastError ?? because)
    onWait(told.at(-1)!, giveUpAt - performance.now())
  }
  let timer = setTimeout(tell, SLOW_MS)
  try {
    for (let delayMs = 100; ; delayMs = Math.min(delayMs * 2, 2000)) {
      check()
      signal?.throwIfAborted()
      try {
        return await orAborted(attempt(), signal)
      } catch (error) {
        if (signal?.aborted === true) {
          abandon?.()
          throw error
        }
        if (!mayPass(error) || performance.now() + delayMs > giveUpAt) throw error
        const isFirst = lastError === undefined
        lastError = error as Error
        if (isFirst && told.length === 0) {
          clearTimeout(timer)
          timer = setTimeout(tell, TOLD_AFTER_MS)
        } else if (told.length === 1 && told[0] === because) {
          tell()
        }
      }
      await orAborted(
        refresh().then(() => sleep(delayMs)),
        signal,
      )
    }
  } finally {
    clearTimeout(timer)
  }
}

function mayPass(error: unknown): boolean {
  return isTransient(error) && !(error instanceof NoRouteError && error.isFinal)
}
