import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import type { Parameter } from '../../graph/parameter.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { ParameterReader } from './parameter-reader.ts'
import { WeightMemory } from './weight-memory.ts'

export interface TrainingWeightsOptions {
  /** The parameters of each block's training graphs. */
  readonly parameters: readonly (readonly Parameter[])[]
  /** Where each block's parameters are stored: as `blockSlices`. */
  readonly slices: readonly ReadonlyMap<string, TensorSlice>[]
  /** What blocks that stay in memory may take. */
  readonly pinnedBytes: number
}

/** A block's float32 weights by the names of its parameters. */
export type BlockWeights = ReadonlyMap<string, Tensor>

/**
 * The float32 weights of a span's blocks, for training: the same values that the span computes with, read again from
 * the checkpoint whenever a block is needed, except for the first blocks, which stay once they have been read. For one
 * thread, which can do other things in between: reading goes on in short pieces.
 */
export class TrainingWeights {
  readonly #parameters: readonly (readonly Parameter[])[]
  readonly #slices: readonly ReadonlyMap<string, TensorSlice>[]
  readonly #memory = new WeightMemory()
  #last: { readonly block: number; readonly weights: BlockWeights } | undefined

  constructor({ parameters, slices }: TrainingWeightsOptions) {
    this.#parameters = parameters
    this.#slices = slices
  }

  /**
   * Reads the weights of a block, numbered within the span; each step takes a few milliseconds. What it returns is
   * valid until the next block is read. Throws as `readTensor`.
   */
  *read(block: number): Generator<void, BlockWeights> {
    if (this.#last?.block === block) return this.#last.weights
    for (const { data } of this.#last?.weights.values() ?? []) this.#memory.give(data)
    this.#last = undefined
    const reader = new ParameterReader(this.#slices[block]!, this.#memory)
    const weights = new Map<string, Tensor>()
    for (const parameter of this.#parameters[block]!) {
      weights.set(parameter.name, reader.read(parameter, { lent: true }))
      yield
    }
    this.#last = { block, weights }
    return weights
  }

  /** Gives back all memory; nothing may read it any more. */
  release(): void {
    this.#last = undefined
    this.#memory.release()
  }
}
