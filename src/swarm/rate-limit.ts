interface Bucket {
  /** What may be spent at once; less than 0 where more was spent than there was. */
  left: number
  at: number
}

/** Beyond so many peers those that have nothing to wait for are forgotten. */
const MAX_PEERS = 4096

/** How much each peer may have per second (a token bucket of one second for each). */
export class RateLimit {
  readonly #perSecond: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** Counts so many for a peer; returns for how many milliseconds it is to wait before the next one. */
  spend(peerId: string, count: number, now = performance.now()): number {
    if (this.#perSecond === Infinity) return 0
    const bucket = this.#buckets.get(peerId) ?? this.#begin(peerId, now)
    bucket.left = this.#leftOf(bucket, now) - count
    bucket.at = now
    return bucket.left >= 0 ? 0 : (-bucket.left * 1000) / this.#perSecond
  }

  #begin(peerId: string, now: number): Bucket {
    if (this.#buckets.size >= MAX_PEERS)
      for (const [other, bucket] of this.#buckets)
        if (this.#leftOf(bucket, now) >= this.#perSecond) this.#buckets.delete(other)
    const bucket = { left: this.#perSecond, at: now }
    this.#buckets.set(peerId, bucket)
    return bucket
  }

  #leftOf({ left, at }: Bucket, now: number): number {
    return Math.min(this.#perSecond, left + ((now - at) / 1000) * this.#perSecond)
  }
}
