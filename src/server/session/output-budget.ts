import { totalmem } from 'node:os'

/** A log of outputs that can discard its oldest one. */
export interface Shedding {
  /** Whose outputs they are. */
  readonly owner: string
  readonly bytes: number
  /** Discards the oldest output; false if none can be spared. */
  shed(): boolean
}

/**
 * The share of the machine's memory, up to `MAX_BYTES`, for the outputs of all sessions. Most clients fetch
 * copies soon after their steps, so the bound is rarely reached.
 */
const MEMORY_SHARE = 1 / 8
const MAX_BYTES = 4 * 2 ** 30

/**
 * Bounds the outputs that a server keeps for one client, and for all. Beyond a bound the largest log of that client, or
 * of the one that has most, discards outputs; a replay of its session then has to start at an earlier server.
 */
export class OutputBudget {
  readonly #maxBytes: number
  readonly #perOwner: number
  readonly #logs = new Set<Shedding>()
  readonly #owned = new Map<string, number>()
  #bytes = 0

  constructor(maxBytes = Math.min(MAX_BYTES, totalmem() * MEMORY_SHARE), perOwner = maxBytes) {
    this.#maxBytes = maxBytes
    this.#perOwner = perOwner
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Counts that a log has grown by `bytes` (negative: shrunk). */
  changed(log: Shedding, bytes: number): void {
    this.#logs.add(log)
    this.#count(log.owner, bytes)
    while (this.#ownedBy(log.owner) > this.#perOwner && this.#largest(log.owner)?.shed()) continue
    while (this.#bytes > this.#maxBytes && this.#largest(this.#greediest())?.shed()) continue
  }

  /** Stops counting a log and all that it holds. */
  forget(log: Shedding): void {
    if (this.#logs.delete(log)) this.#count(log.owner, -log.bytes)
  }

  #count(owner: string, bytes: number): void {
    const owned = this.#ownedBy(owner) + bytes
    if (owned > 0) this.#owned.set(owner, owned)
    else this.#owned.delete(owner)
    this.#bytes += bytes
  }

  #ownedBy(owner: string): number {
    return this.#owned.get(owner) ?? 0
  }

  #greediest(): string {
    return [...this.#owned].reduce((most, other) => (other[1] > most[1] ? other : most), ['', 0] as const)[0]
  }

  #largest(owner: string): Shedding | undefined {
    let largest: Shedding | undefined
    for (const log of this.#logs)
      if (log.owner === owner && (largest === undefined || log.bytes > largest.bytes)) largest = log
    return largest
  }
}
