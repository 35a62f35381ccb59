import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../src/server/placement/balancer.ts'

interface Waiter {
  readonly atMs: number
  readonly resolve: () => void
}

/** Time that passes only when everybody waits: hours of a swarm in seconds. */
export class VirtualClock implements Clock {
  #nowMs = 0
  readonly #waiters: Waiter[] = []

  get nowMs(): number {
    return this.#nowMs
  }

  pause(ms: number, signal?: AbortSignal): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    if (signal?.aborted) return Promise.resolve(false)
    signal?.addEventListener('abort', () => resolve(false), { once: true })
    const waiter = { atMs: this.#nowMs + ms, resolve: () => resolve(true) }
    const after = this.#waiters.findIndex(({ atMs }) => atMs > waiter.atMs)
    this.#waiters.splice(after < 0 ? this.#waiters.length : after, 0, waiter)
    return promise
  }

  /** Lets time pass until `untilMs`. */
  async run(untilMs: number): Promise<void> {
    for (;;) {
      // What was woken runs until it waits again.
      await setImmediate()
      await setImmediate()
      const next = this.#waiters[0]
      if (next === undefined || next.atMs > untilMs) break
      this.#waiters.shift()
      this.#nowMs = next.atMs
      next.resolve()
    }
    this.#nowMs = untilMs
  }
}
