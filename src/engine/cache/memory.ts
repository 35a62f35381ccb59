import type { Device } from '../../runtime/device.ts'
import type { Pointer } from '../../runtime/library.ts'
import { type DeviceHeap, openHeap } from '../../runtime/memory.ts'

/** Where one block's keys and values begin. */
export interface BlockCache {
  readonly key: Pointer
  readonly value: Pointer
}

/**
 * The KV cache of all blocks of a span: one piece of memory per block for keys, one for values, valid in every thread.
 */
export class CacheMemory {
  readonly #blocks: BlockCache[] = []
  readonly #allocated: Pointer[] = []
  readonly #heap: DeviceHeap

  /**
   * `bytes` for the keys of one block, and as many for its values. Throws `RUNTIME_MEMORY`; then nothing is left
   * behind.
   */
  constructor(device: Device, numBlocks: number, bytes: number) {
    this.#heap = openHeap(device)
    try {
      for (let block = 0; block < numBlocks; block++)
        this.#blocks.push({ key: this.#allocate(bytes), value: this.#allocate(bytes) })
    } catch (error) {
      this.release()
      throw error
    }
  }

  get blocks(): readonly BlockCache[] {
    return this.#blocks
  }

  release(): void {
    for (const address of this.#allocated.splice(0)) this.#heap.free(address)
  }

  #allocate(bytes: number): Pointer {
    const address = this.#heap.allocate(bytes)
    this.#allocated.push(address)
    return address
  }
}
