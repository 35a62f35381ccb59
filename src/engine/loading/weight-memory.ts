import { readTensor } from '../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { MappedMemory } from '../../runtime/system-memory.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { type Tensor, byteLength } from '../../tensor/tensor.ts'
import type { ReadHelper } from './shared-read.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'

/**
 * Memory for weights on their way to the runtime, which copies them: what one block has given back is filled again by
 * the next, since the first touch of fresh memory takes longer than reading and converting into it. It lies outside of
 * the heap, which would not return what lies between the runtime's copies. Synchronous.
 */
export class WeightMemory {
  readonly #mapped = new Map<Uint8Array, MappedMemory>()
  readonly #free = new Set<Uint8Array>()
  readonly #helper: ReadHelper | undefined

  /** `helper` takes part in what is read. */
  constructor(helper?: ReadHelper) {
    this.#helper = helper
  }

  /** Reads and converts a tensor into memory that is to be given back. Throws as `readTensor`. */
  read(slice: TensorSlice, dtype: FloatDType): Tensor {
    const data = this.take(byteLength(dtype, slice.shape))
    const { address } = this.#mapped.get(data)!
    if (this.#helper === undefined || address === undefined) return readTensor(slice, dtype, () => data)
    this.#helper.read(slice, dtype, data, address)
    return { dtype, shape: slice.shape, data }
  }

  /**
   * `byteLength` bytes that hold anything. Free memory of other sizes goes back to the system: the next block is not
   * alike.
   */
  take(byteLength: number): Uint8Array {
    for (const bytes of this.#free) {
      if (bytes.byteLength !== byteLength) continue
      this.#free.delete(bytes)
      return bytes
    }
    for (const bytes of this.#free) this.#unmap(bytes)
    const memory = threadRuntime.systemMemory.map(byteLength)
    this.#mapped.set(memory.bytes, memory)
    return memory.bytes
  }

  /** Takes back what `take` gave, once nothing reads it any more; other memory is left to its owner. */
  give(bytes: Uint8Array): void {
    if (this.#mapped.has(bytes)) this.#free.add(bytes)
  }

  /**
   * Gives everything back to the system at once, whether or not it was given back here: nothing may read it any more.
   */
  release(): void {
    for (const bytes of this.#mapped.keys()) this.#unmap(bytes)
  }

  #unmap(bytes: Uint8Array): void {
    this.#mapped.get(bytes)?.unmap()
    this.#mapped.delete(bytes)
    this.#free.delete(bytes)
  }
}
