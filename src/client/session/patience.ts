import { setTimeout as sleep } from 'node:timers/promises'
import { isTransient } from '../../base/errors.ts'

export interface PatienceOptions {
  /** How long after the start another attempt may begin. */
  readonly timeoutMs: number
  /** Called before each attempt; what it throws ends them. */
  readonly check: () => void
  /** Called between two attempts. */
  readonly refresh: () => Promise<void>
}

/**
 * Tries until it works: servers come and go. Throws what is not transient, or what the last attempt within the time
 * threw.
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
