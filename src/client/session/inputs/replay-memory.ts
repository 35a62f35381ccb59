/** Inputs that can be forgone: a repair then computes them again. */
export interface Droppable {
  /** Bytes held; what is shared with others counts in each. */
  readonly bytes: number
  drop(): void
}

/** The most memory for inputs of spans of all sessions of a process: 1 GiB. */
const MAX_BYTES = 1 << 30

/** Bounds what a process keeps of spans' inputs for repairs, all sessions together. Beyond it the largest log goes. */
export class ReplayMemory {
  readonly #maxBytes: number
  readonly #logs = new Set<Droppable>()
  #bytes = 0

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Counts memory that a log has taken; may drop that very log. */
  take(log: Droppable, bytes: number): void {
    this.#logs.add(log)
    this.#bytes += bytes
  }

  /** Counts bytes that a log holds no more. */
  give(bytes: number): void {
    this.#bytes -= bytes
  }

  /** Drops logs until all is within the bound. */
  shrink(): void {
    while (this.#bytes > this.#maxBytes) {
      let largest: Droppable | undefined
      for (const log of this.#logs) if (log.bytes > (largest?.bytes ?? 0)) largest = log
      if (largest === undefined) return
      largest.drop()
    }
  }

  /** Stops knowing a log that holds nothing. */
  forget(log: Droppable): void {
    this.#logs.delete(log)
  }
}

/** The memory of this process. */
export const PROCESS_REPLAY_MEMORY = new ReplayMemory()
