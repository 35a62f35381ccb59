import { totalmem } from 'node:os'
import { PetalsError } from '../../base/errors.ts'

/** What passes may keep of this process's memory, or of what its container has. */
const SHARE = 0.5

/** Bounds what passes keep of spans' inputs for their gradients, all passes together. */
export class PassMemory {
  readonly maxBytes: number
  #bytes = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Throws `PASS_MEMORY` where there is no room for so much. Nobody waits for it: whoever keeps the rest may be the one
   * who waits.
   */
  require(bytes: number): void {
    if (this.#bytes + bytes <= this.maxBytes) return
    throw new PetalsError(
      'PASS_MEMORY',
      `the inputs of spans that are kept for gradients take ${this.#bytes} bytes, ${bytes} more are wanted, and ` +
        `${this.maxBytes} is the most: make smaller batches (accumulate their gradients), or release passes that are ` +
        'done with',
    )
  }

  /** Counts bytes that a pass holds. */
  take(bytes: number): void {
    this.#bytes += bytes
  }

  /** Counts bytes that it holds no more. */
  give(bytes: number): void {
    this.#bytes -= bytes
  }
}

/** The memory of this process. */
export const PROCESS_PASS_MEMORY = new PassMemory(SHARE * Math.min(totalmem(), constrainedMemory()))

/** What a container may take; infinity outside of one. */
function constrainedMemory(): number {
  return process.constrainedMemory() || Infinity
}
