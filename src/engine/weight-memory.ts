import { type MappedMemory, mapMemory } from '../runtime/system-memory.ts'

/**
 * Memory for weights on their way to the runtime, which copies them: what one block has given back is filled again by the
 * next, since the first touch of fresh memory takes longer than reading and converting into it. It lies outside of the
 * heap, which would not return what lies between the runtime's copies. Synchronous.
 */
export class WeightMemory {
  readonly #mapped = new Map<Uint8Array, MappedMemory>()
  readonly #free = new Set<Uint8Array>()

  /** `byteLength` bytes that hold anything. Free memory of other sizes goes back to the system: the next block is not alike. */
  take(byteLength: number): Uint8Array {
    for (const bytes of this.#free) {
      if (bytes.byteLength !== byteLength) continue
      this.#free.delete(bytes)
      return bytes
    }
    for (const bytes of this.#free) this.#unmap(bytes)
    const memory = mapMemory(byteLength)
    this.#mapped.set(memory.bytes, memory)
    return memory.bytes
  }

  /** Takes back what `take` gave, once nothing reads it any more. */
  give(bytes: Uint8Array): void {
    this.#free.add(bytes)
  }

  /** Gives everything back to the system at once, whether or not it was given back here: nothing may read it any more. */
  release(): void {
    for (const bytes of this.#mapped.keys()) this.#unmap(bytes)
  }

  #unmap(bytes: Uint8Array): void {
    this.#mapped.get(bytes)?.unmap()
    this.#mapped.delete(bytes)
    this.#free.delete(bytes)
  }
}
