import { setTimeout as sleep } from 'node:timers/promises'
import { isTransient } from '../../base/errors.ts'

/** How long to try, and what to do between attempts. */
export interface PatienceOptions {
  /** How long after the start another attempt may begin. */
  readonly timeoutMs: number
  /** Called before each attempt; if it throws, that error ends them. */
  readonly check: () => void
  /** Called between two attempts. */
  readonly refresh: () => Promise<void>
}

/**
 * Calls `attempt` until it succeeds, with growing pauses: servers come and go. Throws an error that is not transient,
 * or the last attempt's when the time is over.
 */
export async function patiently<T>(
  attempt: () => Promise<T>,
  { timeoutMs, check, refresh }: PatienceOptions,
): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs
  for (let delayMs = 100; ; delayMs = Math.min(delayMs * 2, 2000)) {
    check()
    try {
      return await attempt()
    } catch (error) {
      if (!isTransient(error) || performance.now() + delayMs > giveUpAt) throw error
    }
    await refresh()
    await sleep(delayMs)
  }
}
