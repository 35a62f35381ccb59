import type { EndsEvent } from './messages.ts'

/** How long an answer may wait for others. */
const MAX_WAIT_MS = 1

/** Answers that come one after another within a moment, as one message: the thread that asked wakes up once. */
export class EventBatch {
  readonly #send: (events: readonly EndsEvent[]) => void
  #events: EndsEvent[] = []
  #firstAt = 0

  constructor(send: (events: readonly EndsEvent[]) => void) {
    this.#send = send
  }

  post(event: EndsEvent): void {
    const now = performance.now()
    if (this.#events.push(event) === 1) this.#firstAt = now
    else if (now - this.#firstAt >= MAX_WAIT_MS) this.flush()
  }

  /** Sends what waits; to be called before the thread does anything else. */
  flush(): void {
    if (this.#events.length === 0) return
    const events = this.#events
    this.#events = []
    this.#send(events)
  }
}
