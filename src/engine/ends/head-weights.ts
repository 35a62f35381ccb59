import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { headParameters } from '../../families/graphs/head-parameters.ts'
import { type Tensor, fromFloat32 } from '../../tensor/tensor.ts'

/**
 * The parameters of a head that predicts tokens, or their gradients, in row-major order. In shared memory they change
 * threads without a copy.
 */
export interface HeadWeights {
  /** [vocab, hidden]. */
  readonly weight: Float32Array
  /** [vocab], in families whose head has one. */
  readonly bias?: Float32Array | undefined
}

/** Weights by the names that a model's graphs have for them. */
export function headTensors(config: ModelConfig, given: HeadWeights): Map<string, Tensor> {
  const { weight, bias } = headParameters(config)
  const tensors = new Map([[weight.name, fromFloat32(given.weight, weight.shape)]])
  if (bias !== undefined && given.bias !== undefined) tensors.set(bias.name, fromFloat32(given.bias, bias.shape))
  return tensors
}

/** The same of `find`, which gives values by these names. */
export function headWeights(config: ModelConfig, find: (name: string) => Float32Array): HeadWeights {
  const { weight, bias } = headParameters(config)
  return { weight: find(weight.name), ...(bias !== undefined && { bias: find(bias.name) }) }
}
