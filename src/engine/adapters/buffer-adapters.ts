import { loraInputs } from '../../graph/lora-names.ts'
import { type Pointer, viewOf } from '../../runtime/library.ts'
import type { BufferHeap } from '../../runtime/memory.ts'
import { dtypeSize, type FloatDType } from '../../tensor/dtype.ts'
import type { AdapterRanks, AdapterStack } from './adapter-memory.ts'

/** One input of a block's graph: a matrix in a buffer of its own. */
export interface AdapterMatrix {
  readonly input: string
  readonly shape: readonly [number, number]
  readonly buffer: Pointer
}

/** An adapter in the device's memory. */
export interface BufferAdapter {
  /** No two copies ever have the same. */
  readonly id: number
  readonly ranks: number
  /** Of each block of the span. */
  readonly blocks: readonly (readonly AdapterMatrix[])[]
}

/** What the adapters of a span are copied from, and to. */
export interface BufferAdaptersOptions {
  readonly heap: BufferHeap
  /** In this process's memory, of each block. */
  readonly stacks: readonly (readonly AdapterStack[])[]
  readonly dtype: FloatDType
  /** What all that lie on the device may have together; those that sessions may use at a time have no more. */
  readonly maxRanks: number
}

/**
 * The adapters of a span in buffers of their own, for memory without addresses: copied from the stacks where they lie
 * in this process's memory when a run first needs them. Those that were used least recently make room.
 */
export class BufferAdapters {
  readonly #options: BufferAdaptersOptions
  /** In the order of their last use, by the ids of the ranks that they were copied from. */
  readonly #adapters = new Map<number, BufferAdapter>()
  #nextId = 1

  constructor(options: BufferAdaptersOptions) {
    this.#options = options
  }

  /** Throws `RUNTIME_MEMORY`; nothing is left behind then. */
  get(ranks: AdapterRanks): BufferAdapter {
    const known = this.#adapters.get(ranks.id)
    if (known === undefined) this.#makeRoom(ranks.ranks)
    const adapter = known ?? this.#copy(ranks)
    this.#adapters.delete(ranks.id)
    this.#adapters.set(ranks.id, adapter)
    return adapter
  }

  release(): void {
    for (const id of this.#adapters.keys()) this.#remove(id)
  }

  #makeRoom(ranks: number): void {
    for (const id of this.#adapters.keys()) {
      const held = this.#adapters.values().reduce((sum, adapter) => sum + adapter.ranks, 0)
      if (held + ranks <= this.#options.maxRanks) return
      this.#remove(id)
    }
  }

  #copy({ first, ranks }: AdapterRanks): BufferAdapter {
    const { heap, stacks, dtype } = this.#options
    const buffers: Pointer[] = []
    const copy = (stack: Pointer, width: number): Pointer => {
      const rankBytes = width * dtypeSize(dtype)
      const buffer = heap.allocate(ranks * rankBytes)
      buffers.push(buffer)
      heap.write(buffer, viewOf(stack + BigInt(first * rankBytes), ranks * rankBytes))
      return buffer
    }
    try {
      const blocks = stacks.map((block) =>
        block.flatMap(({ name, inFeatures, outFeatures, a, b }): AdapterMatrix[] => {
          const inputs = loraInputs(name)
          return [
            { input: inputs.a, shape: [inFeatures, ranks], buffer: copy(a, inFeatures) },
            { input: inputs.b, shape: [ranks, outFeatures], buffer: copy(b, outFeatures) },
          ]
        }),
      )
      return { id: this.#nextId++, ranks, blocks }
    } catch (error) {
      for (const buffer of buffers) heap.free(buffer)
      throw error
    }
  }

  #remove(id: number): void {
    const { blocks } = this.#adapters.get(id)!
    this.#adapters.delete(id)
    for (const { buffer } of blocks.flat()) this.#options.heap.free(buffer)
  }
}
