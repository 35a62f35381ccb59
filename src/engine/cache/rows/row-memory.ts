import type { KvDType } from '../../../graph/lowering.ts'
import type { Device } from '../../../runtime/device.ts'
import type { Pointer } from '../../../runtime/library.ts'
import type { DeviceHeap } from '../../../runtime/memory.ts'
import { type FloatDType, dtypeSize } from '../../../tensor/dtype.ts'
import type { SpanWindow } from './window.ts'
import { threadRuntime } from '../../../runtime/thread-runtime.ts'

/** What one token's keys, or values, are in one block. */
export interface CacheShape {
  readonly kvHeads: number
  readonly cacheHeadDim: number
  readonly dtype: FloatDType
  /** How keys and values are kept: in `dtype` where not given. */
  readonly kvDType?: KvDType | undefined
}

/** Where one block's keys and values begin. */
export interface BlockCache {
  readonly key: Pointer
  readonly value: Pointer
}

/** Rows of keys and values, [kvHeads, capacity, headDim] each, in one piece of memory per block. Plain data. */
export interface RowMemory {
  readonly device: Device
  readonly kvHeads: number
  /** Of one token's keys in one block, in bytes. */
  readonly tokenBytes: number
  /** One for each block of the span. */
  readonly blocks: readonly BlockCache[]
  /** Of a span with windowed blocks that hold the latest positions only. */
  readonly window?: SpanWindow | undefined
  /** Of each block, the scales of a cache of int8. */
  readonly scales?: readonly SharedArrayBuffer[] | undefined
  /** Whether the memory of rows that are over goes back to the system: other rows take it then. */
  readonly discards: boolean
}

/** Bytes of one token's keys (or values) in one block. */
export function cacheBytes({ kvHeads, cacheHeadDim, dtype, kvDType }: CacheShape): number {
  return kvHeads * cacheHeadDim * dtypeSize(kvDType ?? dtype)
}

/** One piece of memory per block for keys, one for values, valid in every thread. */
export class BlockMemory {
  readonly #blocks: BlockCache[] = []
  readonly #allocated: Pointer[] = []
  readonly #heap: DeviceHeap

  /** `bytes` for the keys of one block, and as many for its values. Throws `RUNTIME_MEMORY`; nothing is left then. */
  constructor(device: Device, numBlocks: number, bytes: number) {
    this.#heap = threadRuntime.heap(device)
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
