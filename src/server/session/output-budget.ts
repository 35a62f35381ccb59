import { totalmem } from 'node:os'

/** A log of outputs that can discard its oldest one. */
export interface Shedding {
  readonly bytes: number
  /** Discards the oldest output; false if none can be spared. */
  shed(): boolean
}

/**
 * The share of the machine's memory, up to `MAX_BYTES`, for the outputs of all sessions. Clients hold copies within a
 * quarter of a second, so the bound is rarely reached.
 */
const MEMORY_SHARE = 1 / 8
const MAX_BYTES = 4 * 2 ** 30

/**
 * Bounds the outputs that a server keeps for all its clients. Beyond the bound the largest log discards outputs; a
 * replay of its session then has to start at an earlier server.
 */
export class OutputBudget {
  readonly #maxBytes: number
  readonly #logs = new Set<Shedding>()
  #bytes = 0

  constructor(maxBytes = Math.min(MAX_BYTES, totalmem() * MEMORY_SHARE)) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Counts that a log has grown by `bytes` (negative: shrunk). */
  changed(log: Shedding, bytes: number): void {
    this.#logs.add(log)
    this.#bytes += bytes
    while (this.#bytes > this.#maxBytes && this.#largest()?.shed()) continue
  }

  /** Stops counting a log and all that it holds. */
  forget(log: Shedding): void {
    if (this.#logs.delete(log)) this.#bytes -= log.bytes
  }

  #largest(): Shedding | undefined {
    let largest: Shedding | undefined
    for (const log of this.#logs) if (largest === undefined || log.bytes > largest.bytes) largest = log
    return largest
  }
}
