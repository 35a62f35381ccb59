import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../errors.ts'

/** The most failures in a row without a byte of progress in between. */
const MAX_FAILURES = 6

const MAX_DELAY_MS = 10_000

/** If the server asks for a longer pause than this, the error goes to the user, who can come back later. */
const MAX_RETRY_AFTER_MS = 60_000

/** Called with each failure after which there is another attempt. */
export type RetryListener = (error: HubError) => void

/** Decides whether a piece of work is tried again after a failure, and waits before the next attempt. */
export class Retry {
  readonly #delayMs: number
  readonly #onRetry: RetryListener
  #failures = 0

  /** `onRetry` is told of each failure after which another attempt follows, but for a first, which may be chance. */
  constructor(delayMs: number, onRetry: RetryListener) {
    this.#delayMs = delayMs
    this.#onRetry = onRetry
  }

  /** The work has progressed: failures are counted from 0 again. */
  progressed(): void {
    this.#failures = 0
  }

  /** Resolves when the next attempt may begin. Throws `error` if there is to be none, or the signal's reason. */
  async next(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (!(error instanceof HubError) || !error.retryable || ++this.#failures > MAX_FAILURES) throw error
    const waitMs = error.retryAfterMs ?? this.#backoffMs()
    if (waitMs > MAX_RETRY_AFTER_MS) throw error
    if (this.#failures > 1) this.#onRetry(error)
    await sleep(waitMs, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }

  /** The first failure after some progress is retried at once; after that the wait doubles. */
  #backoffMs(): number {
    return this.#failures === 1 ? 0 : Math.min(this.#delayMs * 2 ** (this.#failures - 2), MAX_DELAY_MS)
  }
}

/** Calls `attempt` until it succeeds or fails in a way that a retry cannot mend. */
export async function retrying<T>(
  retry: Retry,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      await retry.next(error, signal)
    }
  }
}
