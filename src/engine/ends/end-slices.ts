import { reconcile } from '../../checkpoint/weights/reconcile.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import { familyOf } from '../../families/models/index.ts'
import type { Graph } from '../../graph/builder.ts'
import { storedTensors } from '../../graph/parameter.ts'
import type { EndsOptions } from './messages.ts'

/**
 * Where the tensors of an end's graph are stored, by the names of its parameters, or of their parts. Throws
 * `CheckpointError`.
 */
export function slicesOf(
  { parameters }: Pick<Graph, 'parameters'>,
  { checkpoint }: EndsOptions,
): Map<string, TensorSlice> {
  const { ignored } = familyOf(checkpoint.config).names(checkpoint.config)
  return reconcile(parameters.flatMap(storedTensors), checkpoint, { prefixes: [], ignore: [...ignored] })
}
