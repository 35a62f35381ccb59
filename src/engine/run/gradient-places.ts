import { loraInputs } from '../../graph/lora-names.ts'
import type { BackwardPass } from '../schedule/work.ts'
import type { TaskInput } from './batch-runner.ts'
import type { RunnerSpan } from './runner-span.ts'

/** One matrix of an adapter, and where its gradient lies. */
export interface MatrixPlace {
  /** Of the span. */
  readonly block: number
  /** The name of its graph input. */
  readonly input: string
  /** [ranks, in] or [ranks, out], as in the stacks. */
  readonly shape: readonly [number, number]
  readonly place: number
}

/** Where the gradients of a pass lie, in float32 elements: those of hidden states begin at 0. */
export interface GradientPlaces {
  /** [blocks, tokens of the prompts, hidden] */
  readonly prompts: number
  readonly matrices: readonly MatrixPlace[]
  /** Of all of them. */
  readonly length: number
}

/** Lays out the gradients that a pass gives, one after the other. */
export function placeGradients(
  { start, end }: Pick<BackwardPass, 'start' | 'end'>,
  { adapters }: Pick<RunnerSpan, 'adapters'>,
  { hidden, prompts, backward }: TaskInput,
): GradientPlaces {
  const floats = (bytes: number) => bytes / Float32Array.BYTES_PER_ELEMENT
  const first = floats(hidden.byteLength)
  let length = first + floats((prompts?.blocks ?? []).reduce((sum, { byteLength }) => sum + byteLength, 0))
  const { ranks, adapterGradients = false } = backward ?? {}
  const matrices: MatrixPlace[] = []
  for (let block = start; adapterGradients && block < end; block++) {
    for (const [i, { name, inFeatures, outFeatures }] of (adapters?.[block] ?? []).entries()) {
      const rank = ranks?.[block - start]?.[i] ?? 0
      if (rank === 0) continue
      const names = loraInputs(name)
      for (const [input, width] of [
        [names.a, inFeatures],
        [names.b, outFeatures],
      ] as const) {
        matrices.push({ block, input, shape: [rank, width], place: length })
        length += rank * width
      }
    }
  }
  return { prompts: first, matrices, length }
}
