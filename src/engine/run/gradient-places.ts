import { loraInputs } from '../../graph/lora-names.ts'
import type { AdapterStack } from '../adapters/adapter-memory.ts'
import type { TaskInput } from './batch-runner.ts'

/** One matrix of an adapter, and where its gradient lies. */
export interface MatrixPlace {
  /** Counted from the pass's first. */
  readonly block: number
  /** The name of its graph input. */
  readonly input: string
  /** [ranks, in] or [ranks, out], as in the stacks. */
  readonly shape: readonly [number, number]
  readonly place: number
}

/**
 * Where the gradients of a pass lie, in float32 elements: from 0 on those of deep prompts, [blocks, tokens of the
 * prompts, hidden], then those of matrices, and those of hidden states at the end.
 */
export interface GradientPlaces {
  readonly matrices: readonly MatrixPlace[]
  readonly hidden: number
  /** Of all of them. */
  readonly length: number
}

/** Lays out the gradients that a pass gives. `stacks`: of each of its blocks. */
export function placeGradients(
  stacks: readonly (readonly AdapterStack[])[],
  { hidden, prompts, backward }: TaskInput,
): GradientPlaces {
  const floats = (bytes: number) => bytes / Float32Array.BYTES_PER_ELEMENT
  const { ranks, adapterGradients = false } = backward ?? {}
  const matrices: MatrixPlace[] = []
  let place = floats((prompts?.blocks ?? []).reduce((sum, { byteLength }) => sum + byteLength, 0))
  for (const [block, each] of (adapterGradients ? stacks : []).entries()) {
    for (const [i, { name, inFeatures, outFeatures }] of each.entries()) {
      const rank = ranks?.[block]?.[i] ?? 0
      if (rank === 0) continue
      const names = loraInputs(name)
      for (const [input, width] of [
        [names.a, inFeatures],
        [names.b, outFeatures],
      ] as const) {
        matrices.push({ block, input, shape: [rank, width], place })
        place += rank * width
      }
    }
  }
  return { matrices, hidden: place, length: place + floats(hidden.byteLength) }
}
