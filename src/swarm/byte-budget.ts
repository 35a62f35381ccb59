/** How many bytes peers may take. */
export interface ByteLimits {
  /** The most that one peer may hold. */
  readonly perPeer: number
  /** The most that all peers together may hold. */
  readonly total: number
}

interface Waiter {
  readonly peerId: string
  readonly bytes: number
  readonly onTaken: () => void
}

/**
 * Bytes of this node's memory that peers' requests hold, by peer. Whoever finds no room waits, which is what stops the
 * reading of its stream. A peer holds no more than it leaves free (dynamic thresholds: Choudhury and Hahne, 1998): who
 * comes after a greedy one finds as much as that has, and nobody finds nothing.
 */
export class ByteBudget {
  readonly #limits: ByteLimits
  readonly #held = new Map<string, number>()
  /** Who waits, by peer, each in the order of its requests. */
  readonly #waiting = new Map<string, Set<Waiter>>()
  #bytes = 0

  constructor(limits: ByteLimits) {
    this.#limits = limits
  }

  /** Bytes that all peers hold. */
  get bytes(): number {
    return this.#bytes
  }

  get perPeer(): number {
    return this.#limits.perPeer
  }

  /** Bytes that a peer holds now. */
  heldBy(peerId: string): number {
    return this.#held.get(peerId) ?? 0
  }

  /** Takes bytes for a peer, to be given back with `give`; false, and nothing taken, where there is no room. */
  tryTake(peerId: string, bytes: number): boolean {
    if (!this.#fits(peerId, bytes)) return false
    this.#add(peerId, bytes)
    return true
  }

  /** Gives back what `tryTake` or `wait` took for a peer; whoever waits for room may go on. */
  give(peerId: string, bytes: number): void {
    this.#add(peerId, -bytes)
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#leave(next)
      this.#add(next.peerId, next.bytes)
      next.onTaken()
    }
  }

  /** Calls `onTaken` once the bytes were taken; returns what ends the wait before that. */
  wait(peerId: string, bytes: number, onTaken: () => void): () => void {
    const waiter = { peerId, bytes, onTaken }
    const waiters = this.#waiting.get(peerId) ?? new Set()
    this.#waiting.set(peerId, waiters.add(waiter))
    return () => this.#leave(waiter)
  }

  /**
   * Does the work once the peer has room for these bytes, which it holds until the work is done. Throws the signal's
   * reason where that comes first; nothing is waited for then.
   */
  async during<T>(peerId: string, bytes: number, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    // More than a peer may ever hold goes alone.
    const counted = Math.min(bytes, this.#limits.perPeer)
    signal?.throwIfAborted()
    if (!this.tryTake(peerId, counted)) await this.#turn(peerId, counted, signal)
    try {
      return await work()
    } finally {
      this.give(peerId, counted)
    }
  }

  async #turn(peerId: string, bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = this.wait(peerId, bytes, resolve)
    const onAbort = (): void => {
      leave()
      reject(signal?.reason as Error)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Of the first of each peer that there is room for, that of the peer which holds least. */
  #next(): Waiter | undefined {
    let next: Waiter | undefined
    for (const waiters of this.#waiting.values()) {
      const first = waiters.values().next().value!
      if (!this.#fits(first.peerId, first.bytes)) continue
      if (next === undefined || this.heldBy(first.peerId) < this.heldBy(next.peerId)) next = first
    }
    return next
  }

  #leave(waiter: Waiter): void {
    const waiters = this.#waiting.get(waiter.peerId)
    waiters?.delete(waiter)
    if (waiters?.size === 0) this.#waiting.delete(waiter.peerId)
  }

  #fits(peerId: string, bytes: number): boolean {
    const { perPeer, total } = this.#limits
    const held = this.heldBy(peerId)
    // What is free afterwards is no less than what the peer holds then.
    return held + bytes <= perPeer && this.#bytes + bytes + held + bytes <= total
  }

  #add(peerId: string, bytes: number): void {
    const held = this.heldBy(peerId) + bytes
    if (held > 0) this.#held.set(peerId, held)
    else this.#held.delete(peerId)
    this.#bytes += bytes
  }
}
