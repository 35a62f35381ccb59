/** Counts what a process keeps of spans' inputs for backward passes. */
class PassMemory {
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  take(bytes: number): void {
    this.#bytes += bytes
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }
}

/** The memory of this process. */
export const PROCESS_PASS_MEMORY = new PassMemory()
