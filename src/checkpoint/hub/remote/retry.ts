import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../errors.ts'

/** Failures in a row, without a byte of progress between them. */
const MAX_FAILURES = 6

const MAX_DELAY_MS = 10_000

/** Who asks for a longer pause than this wants the user to come back later. */
const MAX_RETRY_AFTER_MS = 60_000

/** Decides, for one piece of work, whether a failure is worth another attempt, and waits before it. */
export class Retry {
  readonly #delayMs: number
  #failures = 0

  constructor(delayMs: number) {
    this.#delayMs = delayMs
  }

  /** The work has come nearer its end: failures are counted anew. */
  progressed(): void {
    this.#failures = 0
  }

  /** Resolves when the next attempt may begin. Throws `error` where there is none, or the signal's reason. */
  async next(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    if (!(error instanceof HubError) || !error.retryable || ++this.#failures > MAX_FAILURES) throw error
    const waitMs = error.retryAfterMs ?? this.#backoffMs()
    if (waitMs > MAX_RETRY_AFTER_MS) throw error
    await sleep(waitMs, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }

  /** A connection that was cut after some progress is made anew at once. */
  #backoffMs(): number {
    return this.#failures === 1 ? 0 : Math.min(this.#delayMs * 2 ** (this.#failures - 2), MAX_DELAY_MS)
  }
}

/** Repeats `attempt` while it fails in ways that pass. */
export async function retrying<T>(
  delayMs: number,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const retry = new Retry(delayMs)
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      await retry.next(error, signal)
    }
  }
}
