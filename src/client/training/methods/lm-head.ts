import type { ModelConfig } from '../../../checkpoint/config/config.ts'
import type { HeadWeights } from '../../../engine/ends/head-weights.ts'
import { headParameters } from '../../../families/head-parameters.ts'
import { fromFloat32 } from '../../../tensor/tensor.ts'
import type { TunedHead } from '../../model/tuned-head.ts'
import { type Parameter, parameter } from '../parameter.ts'

/** The head that predicts tokens, while it is trained. */
export interface TrainedLmHead {
  /** [vocab, hidden]. */
  readonly weight: Parameter
  /** [vocab], in families whose head has one. */
  readonly bias?: Parameter | undefined
}

/**
 * The model's own head, from which training goes on. It lies in memory that the thread which computes losses reads as
 * well.
 */
export function newLmHead(config: ModelConfig, own: HeadWeights): TrainedLmHead {
  const { weight, bias } = headParameters(config)
  return {
    weight: parameter('lm_head.weight', weight.shape, shared(own.weight)),
    ...(bias !== undefined && { bias: parameter('lm_head.bias', bias.shape, shared(own.bias!)) }),
  }
}

/** A copy of the head as it is now. */
export function lmHeadNow({ weight, bias }: TrainedLmHead, modelKey: string): TunedHead {
  return {
    weight: fromFloat32(weight.values.slice(), weight.shape),
    ...(bias !== undefined && { bias: fromFloat32(bias.values.slice(), bias.shape) }),
    modelKey,
  }
}

function shared(values: Float32Array): Float32Array {
  const copy = new Float32Array(new SharedArrayBuffer(values.byteLength))
  copy.set(values)
  return copy
}
