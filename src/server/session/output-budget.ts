import { totalmem } from 'node:os'

/** What keeps outputs and can let the oldest go. */
export interface Shedding {
  readonly bytes: number
  /** Lets the oldest output go; false where there is none to spare. */
  shed(): boolean
}

/** All sessions' outputs together: their clients hold copies within a quarter of a second, so this is rarely needed. */
const MEMORY_SHARE = 1 / 8
const MAX_BYTES = 4 * 2 ** 30

/** Bounds what a server keeps for all its clients: the largest log gives way, and its replay starts further up. */
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

  /** A log has grown (or shrunk) by this much. */
  changed(log: Shedding, bytes: number): void {
    this.#logs.add(log)
    this.#bytes += bytes
    while (this.#bytes > this.#maxBytes && this.#largest()?.shed()) continue
  }

  /** The log is gone with all that it held. */
  forget(log: Shedding): void {
    if (this.#logs.delete(log)) this.#bytes -= log.bytes
  }

  #largest(): Shedding | undefined {
    let largest: Shedding | undefined
    for (const log of this.#logs) if (largest === undefined || log.bytes > largest.bytes) largest = log
    return largest
  }
}
