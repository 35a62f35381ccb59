import { readTensor } from '../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { MappedMemory } from '../../runtime/system-memory.ts'
import type { Uploads } from '../../runtime/uploads.ts'
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
  /** By what was given out. */
  readonly #given = new Map<Uint8Array, MappedMemory>()
  readonly #free = new Set<MappedMemory>()
  readonly #helper: ReadHelper | undefined
  readonly #uploads: Pick<Uploads, 'allocate'> | undefined

  /** `helper` takes part in what is read; `uploads` copy it to a device, and have memory for that. */
  constructor(helper?: ReadHelper, uploads?: Pick<Uploads, 'allocate'>) {
    this.#helper = helper
    this.#uploads = uploads
  }

  /** Reads and converts a tensor into memory that is to be given back. Throws as `readTensor`. */
  read(slice: TensorSlice, dtype: FloatDType): Tensor {
    const data = this.take(byteLength(dtype, slice.shape))
    const { address } = this.#given.get(data)!
    if (this.#helper === undefined || address === undefined) return readTensor(slice, dtype, () => data)
    this.#helper.read(slice, dtype, data, address)
    return { dtype, shape: slice.shape, data }
  }

  /**
   * `byteLength` bytes that hold anything. Free memory of other sizes goes back to the system: the next block is not
   * alike. But memory of uploads, which takes long to be had, is used for whatever it has room for.
   */
  take(byteLength: number): Uint8Array {
    const fits = ({ bytes }: MappedMemory) =>
      this.#uploads === undefined ? bytes.byteLength === byteLength : bytes.byteLength >= byteLength
    const [found] = [...this.#free].filter(fits).toSorted((a, b) => a.bytes.byteLength - b.bytes.byteLength)
    if (found === undefined) for (const memory of this.#free) this.#unmap(memory)
    const memory = found ?? this.#uploads?.allocate(byteLength) ?? threadRuntime.systemMemory.map(byteLength)
    this.#free.delete(memory)
    const bytes = memory.bytes.byteLength === byteLength ? memory.bytes : memory.bytes.subarray(0, byteLength)
    this.#given.set(bytes, memory)
    return bytes
  }

  /** Takes back what `take` gave, once nothing reads it any more; other memory is left to its owner. */
  give(bytes: Uint8Array): void {
    const memory = this.#given.get(bytes)
    if (memory === undefined) return
    this.#given.delete(bytes)
    this.#free.add(memory)
  }

  /**
   * Gives everything back to the system at once, whether or not it was given back here: nothing may read it any more.
   */
  release(): void {
    for (const memory of this.#given.values()) this.#unmap(memory)
    for (const memory of this.#free) this.#unmap(memory)
    this.#given.clear()
  }

  #unmap(memory: MappedMemory): void {
    this.#free.delete(memory)
    memory.unmap()
  }
}
