import { loraInputs } from '../graph/lora-names.ts'
import { type Tensor, fromFloat32, numElements } from '../tensor/tensor.ts'
import type { AdapterStack } from './adapters/adapter-memory.ts'
import type { AdapterUse } from './adapters/adapters.ts'
import type { MatrixPlace } from './run/gradient-places.ts'

/** What gradients are computed from. */
export interface GradientRequest {
  readonly hidden: Tensor
  readonly gradient: Tensor
  readonly prompts: Tensor | undefined
  readonly use: AdapterUse | undefined
}

/** The gradients of one module of an adapter, with respect to its matrices as they were brought, before scaling. */
export interface ModuleGradient {
  /** As the adapter names it. */
  readonly name: string
  /** float32 [rank, in] */
  readonly a: Tensor
  /** float32 [out, rank] */
  readonly b: Tensor
}

type Stacks = readonly (readonly AdapterStack[])[]

/** Of each of some blocks, from block `first` of the model on, the ranks that an adapter has in each stack. */
export function ranksOf({ modules }: AdapterUse, stacks: Stacks, first: number): number[][] {
  return stacks.map((each, i) =>
    each.map(({ name }) => modules.find(({ block, module }) => block === first + i && module === name)?.rank ?? 0),
  )
}

/**
 * The gradients of all groups of sequences: those of hidden states side by side, the others added up. What a group gives
 * is laid out as `placeGradients` says.
 */
export class GradientSums {
  readonly #shape: readonly [sequences: number, tokens: number, width: number]
  readonly #hidden: Float32Array<ArrayBuffer>
  /** Of prompts and of an adapter's matrices. */
  #shared: Float32Array = new Float32Array(0)

  /** `hidden` has the shape of the gradients with respect to it. */
  constructor({ shape: [sequences = 0, tokens = 0, width = 0] }: Tensor) {
    this.#shape = [sequences, tokens, width]
    this.#hidden = new Float32Array(numElements(this.#shape))
  }

  get hidden(): Tensor {
    return fromFloat32(this.#hidden, this.#shape)
  }

  /** What `rows` sequences from `row` on gave. */
  add(row: number, rows: number, output: Uint8Array): void {
    const [, tokens, width] = this.#shape
    const values = new Float32Array(output.buffer, output.byteOffset, output.byteLength / 4)
    const numShared = values.length - rows * tokens * width
    this.#hidden.set(values.subarray(numShared), row * tokens * width)
    if (this.#shared.length === 0) this.#shared = values.slice(0, numShared)
    else for (let i = 0; i < numShared; i++) this.#shared[i]! += values[i]!
  }

  /** With respect to prompts [blocks, positions, hidden], which may be longer than the sequences. */
  prompts(shape: readonly number[]): Tensor {
    const [blocks = 0, positions = 0, width = 0] = shape
    const used = Math.min(positions, this.#shape[1]) * width
    const gradient = new Float32Array(numElements(shape))
    for (let block = 0; block < blocks; block++)
      gradient.set(this.#shared.subarray(block * used, (block + 1) * used), block * positions * width)
    return fromFloat32(gradient, shape)
  }

  /** Of an adapter's modules in blocks `first` and following, whose stacks are given; `places` are those of one group. */
  modules({ modules }: AdapterUse, stacks: Stacks, places: readonly MatrixPlace[], first: number): ModuleGradient[] {
    const find = (block: number, input: string): Float32Array => {
      const { place, shape } = places.find((each) => each.block === block && each.input === input)!
      return this.#shared.subarray(place, place + shape[0] * shape[1])
    }
    return stacks.flatMap((each, i) =>
      each.flatMap(({ name: module, inFeatures, outFeatures }): ModuleGradient[] => {
        const found = modules.find((other) => other.block === first + i && other.module === module)
        if (found === undefined) return []
        const { name, rank, scaling } = found
        const inputs = loraInputs(module)
        const a = find(i, inputs.a).slice()
        const b = transposed(find(i, inputs.b), rank, outFeatures, scaling)
        return [{ name, a: fromFloat32(a, [rank, inFeatures]), b: fromFloat32(b, [outFeatures, rank]) }]
      }),
    )
  }
}

/** [rank, out], as B lies in the stacks, to [out, rank], times the scaling that B was multiplied by there. */
function transposed(values: Float32Array, rank: number, out: number, scaling: number): Float32Array<ArrayBuffer> {
  const target = new Float32Array(rank * out)
  for (let r = 0; r < rank; r++) for (let o = 0; o < out; o++) target[o * rank + r] = values[r * out + o]! * scaling
  return target
}
