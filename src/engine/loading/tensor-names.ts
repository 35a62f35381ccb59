import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import { reconcile } from '../../checkpoint/weights/reconcile.ts'
import { blockGraphs, buildEmbedGraph, buildHeadGraph, buildNormGraph } from '../../families/graphs/graphs.ts'
import { familyOf } from '../../families/models/index.ts'
import { blockSlices } from './block-slices.ts'
import type { EndsOutput } from './ends-output.ts'

/** Parameters have the same names on every device and in every dtype. */
const TARGET = { device: 'cpu', dtype: 'float32' } as const

/**
 * The stored names of all tensors that a span's blocks need. Checked as loading checks them, so what does not fit
 * config.json shows before anything is fetched. Throws `CheckpointError` and `FamilyError`.
 */
export function spanTensorNames(checkpoint: Checkpoint, start: number, end: number): string[] {
  const blocks = blockSlices({ checkpoint, start, end }, blockGraphs(checkpoint.config, TARGET, start, end))
  return blocks.flatMap((block) => [...block.values()].map(({ name }) => name))
}

/**
 * The stored names of all tensors that both ends of a model need: embedding, last norm and, for logits, head. Throws
 * the same.
 */
export function endsTensorNames(checkpoint: Checkpoint, output: EndsOutput = 'logits'): string[] {
  const { config } = checkpoint
  const { ignored } = familyOf(config).names(config)
  const graphs = [
    buildEmbedGraph(config, TARGET),
    (output === 'logits' ? buildHeadGraph : buildNormGraph)(config, TARGET),
  ]
  const found = graphs.flatMap(({ parameters }) => [
    ...reconcile(parameters, checkpoint, { prefixes: [], ignore: [...ignored] }).values(),
  ])
  return [...new Set(found.map(({ name }) => name))]
}
