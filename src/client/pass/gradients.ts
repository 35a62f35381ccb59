import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ModulePair } from '../remote/adapters/adapter-versions.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import type { PartGradients } from './piece-way.ts'
import { joined } from './split.ts'

/** Additions before the event loop gets a turn: about a millisecond. */
const TURN_ELEMENTS = 1_048_576

/** The gradients of a loss with respect to all that went into a pass. */
export interface PassGradients {
  /** [batch, tokens, hidden], in the dtype of the gradient that was given. */
  readonly hidden: Tensor
  /** Of deep prompts, where the pass had some: float32 [blocks, positions, hidden], summed over the batch. */
  readonly prompts?: Tensor | undefined
  /**
   * Of the matrices of a trained adapter, by module: float32, A [rank, in], B [out, rank], summed over the batch. They
   * are with respect to the matrices themselves, so the adapter's scaling is part of them.
   */
  readonly adapter?: ReadonlyMap<string, ModulePair> | undefined
}

/**
 * Gradients with respect to what all sequences of a batch share, summed over its pieces. Pieces are added in their
 * order, whichever is done first: so the sum is the same, bit by bit, whoever computes them.
 */
export class SharedGradients {
  #prompts: Tensor | undefined
  readonly #modules = new Map<string, ModulePair>()

  get prompts(): Tensor | undefined {
    return this.#prompts
  }

  get modules(): ReadonlyMap<string, ModulePair> {
    return this.#modules
  }

  /** Adds one piece's: of all spans, the first span first. */
  async add(spans: readonly PartGradients[]): Promise<void> {
    const prompts = spans.flatMap(({ prompts }) => prompts ?? [])
    if (prompts.length > 0) this.#prompts = await sum(this.#prompts, await joined(prompts))
    for (const [name, { a, b }] of spans.flatMap(({ modules }) => [...modules])) {
      const before = this.#modules.get(name)
      this.#modules.set(name, { a: await sum(before?.a, a), b: await sum(before?.b, b) })
    }
  }
}

/** Adds `more` to `total`, in its memory. */
async function sum(total: Tensor | undefined, more: Tensor): Promise<Tensor> {
  if (total === undefined) return fromFloat32(asFloat32(more), more.shape)
  const [values, added] = [asFloat32(total), asFloat32(more)]
  for (let start = 0; start < values.length; start += TURN_ELEMENTS) {
    if (start > 0) await nextTurn()
    const end = Math.min(start + TURN_ELEMENTS, values.length)
    for (let i = start; i < end; i++) values[i]! += added[i]!
  }
  return total
}
