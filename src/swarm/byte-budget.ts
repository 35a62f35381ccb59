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
  readonly #waiters = new Set<Waiter>()
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

  heldBy(peerId: string): number {
    return this.#held.get(peerId) ?? 0
  }

  /** Takes bytes for a peer, to be given back with `give`; false, and nothing taken, where there is no room. */
  tryTake(peerId: string, bytes: number): boolean {
    const { perPeer, total } = this.#limits
    const held = this.heldBy(peerId)
    if (held + bytes > perPeer) return false
    // What is free afterwards is no less than what the peer holds then.
    if (this.#bytes + bytes + held + bytes > total) return false
    this.#add(peerId, bytes)
    return true
  }

  give(peerId: string, bytes: number): void {
    this.#add(peerId, -bytes)
    if (this.#waiters.size === 0) return
    // Who holds least goes first.
    for (const waiter of [...this.#waiters].toSorted((a, b) => this.heldBy(a.peerId) - this.heldBy(b.peerId))) {
      if (!this.#waiters.has(waiter) || !this.tryTake(waiter.peerId, waiter.bytes)) continue
      this.#waiters.delete(waiter)
      waiter.onTaken()
    }
  }

  /** Calls `onTaken` once the bytes were taken; returns what ends the wait before that. */
  wait(peerId: string, bytes: number, onTaken: () => void): () => void {
    const waiter = { peerId, bytes, onTaken }
    this.#waiters.add(waiter)
    return () => this.#waiters.delete(waiter)
  }

  /** Does the work once the peer has room for these bytes, which it holds until the work is done. */
  async during<T>(peerId: string, bytes: number, work: () => Promise<T>): Promise<T> {
    // More than a peer may ever hold goes alone.
    const counted = Math.min(bytes, this.#limits.perPeer)
    if (!this.tryTake(peerId, counted)) await new Promise<void>((resolve) => this.wait(peerId, counted, resolve))
    try {
      return await work()
    } finally {
      this.give(peerId, counted)
    }
  }

  #add(peerId: string, bytes: number): void {
    const held = this.heldBy(peerId) + bytes
    if (held > 0) this.#held.set(peerId, held)
    else this.#held.delete(peerId)
    this.#bytes += bytes
  }
}
