import type { Parameter } from '../../graph/parameter.ts'
import type { MappedMemory } from '../../runtime/system-memory.ts'
import { threadRuntime } from '../../runtime/thread-runtime.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { readValues, valueBytes } from './values/read-values.ts'
import type { Slices } from './values/stored-rows.ts'

export interface TrainingWeightsOptions {
  /** The parameters of each block's training graphs. */
  readonly parameters: readonly (readonly Parameter[])[]
  /** Where they are stored, as `blockSlices` finds them. */
  readonly slices: readonly Slices[]
  /** What blocks that stay in memory may take. */
  readonly pinnedBytes: number
}

/** A block's float32 weights by the names of its parameters. */
export type BlockWeights = ReadonlyMap<string, Tensor>

/** Weights in memory of their own. */
interface Held {
  readonly memory: MappedMemory
  readonly weights: BlockWeights
}

/** What kernels read at once begins at multiples of this. */
const ALIGNMENT = 64

/** How many bytes the weights of a block take. */
export function blockBytes(parameters: readonly Parameter[]): number {
  return parameters.reduce((bytes, parameter) => bytes + aligned(valueBytes(parameter)), 0)
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}

/**
 * The float32 weights of a span's blocks, for training: the same values that the span computes with, read again from
 * the checkpoint whenever a block is needed, except for the first blocks, which stay once they have been read. For one
 * thread, which can do other things in between: reading goes on in short pieces.
 */
export class TrainingWeights {
  readonly #parameters: readonly (readonly Parameter[])[]
  readonly #slices: readonly Slices[]
  /** So many of the first blocks stay. */
  readonly #numPinned: number
  readonly #pinned = new Map<number, Held>()
  /** Memory for the block that was read last, of all others. */
  #memory: MappedMemory | undefined
  #last: { readonly block: number; readonly weights: BlockWeights } | undefined

  constructor({ parameters, slices, pinnedBytes }: TrainingWeightsOptions) {
    this.#parameters = parameters
    this.#slices = slices
    let room = pinnedBytes
    const tooMany = parameters.findIndex((each) => (room -= blockBytes(each)) < 0)
    this.#numPinned = tooMany < 0 ? parameters.length : tooMany
  }

  /**
   * Reads the weights of a block, numbered within the span; each step takes some milliseconds. What it returns is valid
   * until the next block is read, or for good if it is one of those that stay. One reading at a time. Throws as
   * `readTensor`.
   */
  *read(block: number): Generator<void, BlockWeights> {
    const held = this.#pinned.get(block)
    if (held !== undefined) return held.weights
    if (this.#last?.block === block) return this.#last.weights
    if (block >= this.#numPinned) return yield* this.#readLast(block)
    const memory = threadRuntime.systemMemory.map(this.#bytesOf(block))
    let weights: BlockWeights | undefined
    try {
      weights = yield* this.#readInto(block, memory.bytes)
      this.#pinned.set(block, { memory, weights })
      return weights
    } finally {
      if (weights === undefined) memory.unmap()
    }
  }

  /** Gives back all memory; nothing may read it any more. */
  release(): void {
    for (const { memory } of this.#pinned.values()) memory.unmap()
    this.#pinned.clear()
    this.#memory?.unmap()
    this.#memory = undefined
    this.#last = undefined
  }

  /** Into the memory that all blocks share that do not stay. */
  *#readLast(block: number): Generator<void, BlockWeights> {
    this.#last = undefined
    if (this.#memory === undefined || this.#memory.bytes.byteLength < this.#bytesOf(block)) {
      this.#memory?.unmap()
      this.#memory = undefined
      this.#memory = threadRuntime.systemMemory.map(this.#bytesOf(block))
    }
    const weights = yield* this.#readInto(block, this.#memory.bytes)
    this.#last = { block, weights }
    return weights
  }

  *#readInto(block: number, bytes: Uint8Array): Generator<void, BlockWeights> {
    const weights = new Map<string, Tensor>()
    let offset = 0
    for (const parameter of this.#parameters[block]!) {
      const data = bytes.subarray(offset, offset + valueBytes(parameter))
      const values = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4)
      yield* readValues(parameter, this.#slices[block]!, values)
      weights.set(parameter.name, { dtype: 'float32', shape: parameter.shape, data })
      offset += aligned(data.byteLength)
    }
    return weights
  }

  #bytesOf(block: number): number {
    return blockBytes(this.#parameters[block]!)
  }
}
