import type { Graph } from '../../graph/builder.ts'
import { type LoraModule, loraModules } from '../../graph/lora.ts'
import type { Device } from '../../runtime/device.ts'
import type { Pointer } from '../../runtime/library.ts'
import type { DeviceHeap } from '../../runtime/memory.ts'
import { dtypeSize, type FloatDType } from '../../tensor/dtype.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'

/** The stacked matrices of one module: A [ranks, in] and B [ranks, out] of all adapters that are loaded. */
export interface AdapterStack extends LoraModule {
  readonly a: Pointer
  readonly b: Pointer
}

/** Adjacent ranks of the stacks. */
export interface RankRange {
  readonly first: number
  readonly ranks: number
}

/** The ranks of an adapter. */
export interface AdapterRanks extends RankRange {
  /** Of what lies there: no two adapters ever have the same, nor one that was loaded twice. */
  readonly id: number
}

/** Beyond this many no run would use them. */
const MAX_RANKS = 4096

/** How many ranks of adapters fit into so many bytes, over all blocks of a span. */
export function ranksWithin(bytes: number, graphs: readonly Pick<Graph, 'inputs'>[], dtype: FloatDType): number {
  const each = graphs.reduce((sum, graph) => sum + rankBytes(loraModules(graph), dtype), 0)
  return Math.min(MAX_RANKS, Math.floor(bytes / Math.max(1, each)))
}

/**
 * Room for the adapters of a span: of each module one stack, valid in every thread. On a CPU it takes memory as it is
 * filled.
 */
export class AdapterMemory {
  readonly ranks: number
  /** Of each block of the span. */
  readonly blocks: readonly (readonly AdapterStack[])[]
  readonly #heap: DeviceHeap
  readonly #allocated: Pointer[] = []

  /** Throws `RUNTIME_MEMORY`; then nothing is left behind. */
  constructor(device: Device, graphs: readonly Pick<Graph, 'inputs'>[], dtype: FloatDType, ranks: number) {
    this.ranks = ranks
    this.#heap = threadRuntime.heap(device)
    try {
      this.blocks = graphs.map((graph) => this.#allocate(loraModules(graph), dtype))
    } catch (error) {
      this.release()
      throw error
    }
  }

  release(): void {
    for (const address of this.#allocated.splice(0)) this.#heap.free(address)
  }

  #allocate(modules: readonly LoraModule[], dtype: FloatDType): AdapterStack[] {
    let address = this.#heap.allocate(Math.max(1, this.ranks * rankBytes(modules, dtype)))
    this.#allocated.push(address)
    return modules.map((module) => {
      const a = address,
        b = a + BigInt(this.ranks * module.inFeatures * dtypeSize(dtype))
      address = b + BigInt(this.ranks * module.outFeatures * dtypeSize(dtype))
      return { ...module, a, b }
    })
  }
}

function rankBytes(modules: readonly LoraModule[], dtype: FloatDType): number {
  return modules.reduce((sum, { inFeatures, outFeatures }) => sum + (inFeatures + outFeatures) * dtypeSize(dtype), 0)
}
