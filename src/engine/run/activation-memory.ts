import type { MappedMemory } from '../../runtime/system-memory.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'

/**
 * Memory for what a backward pass holds meanwhile. What was given back serves again, since the first touch of fresh
 * memory costs more than what is written into it, and all of it goes back to the system with the pass.
 */
export class ActivationMemory {
  readonly #mapped = new Map<Uint8Array, MappedMemory>()
  /** Of each size what nobody uses. */
  readonly #free = new Map<number, Uint8Array[]>()
  #bytes = 0

  /** What it has taken of the system. */
  get bytes(): number {
    return this.#bytes
  }

  /** `byteLength` bytes that hold anything. */
  take(byteLength: number): Uint8Array {
    const free = this.#free.get(byteLength)?.pop()
    if (free !== undefined) return free
    const memory = threadRuntime.systemMemory.map(byteLength)
    this.#mapped.set(memory.bytes, memory)
    this.#bytes += byteLength
    return memory.bytes
  }

  /** Takes back what `take` gave; other memory is left to its owner. */
  give(bytes: Uint8Array): void {
    if (!this.#mapped.has(bytes)) return
    const free = this.#free.get(bytes.byteLength)
    if (free === undefined) this.#free.set(bytes.byteLength, [bytes])
    else free.push(bytes)
  }

  /** Gives everything back to the system, whether or not it was given back here: nothing may read it any more. */
  release(): void {
    for (const memory of this.#mapped.values()) memory.unmap()
    this.#mapped.clear()
    this.#free.clear()
    this.#bytes = 0
  }
}
