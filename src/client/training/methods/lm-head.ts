import type { ModelConfig } from '../../../checkpoint/config/config.ts'
import type { HeadWeights } from '../../../engine/ends/head-weights.ts'
import { headParameters } from '../../../families/graphs/head-parameters.ts'
import type { TunedHead } from '../../tuned/tuned-head.ts'
import { setTo } from '../arithmetic.ts'
import { type Parameter, parameter, valuesNow } from '../parameter.ts'

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
export async function newLmHead(config: ModelConfig, own: HeadWeights): Promise<TrainedLmHead> {
  const { weight, bias } = headParameters(config)
  return {
    weight: parameter('lm_head.weight', weight.shape, await shared(own.weight)),
    ...(bias !== undefined && { bias: parameter('lm_head.bias', bias.shape, await shared(own.bias!)) }),
  }
}

/** A copy of the head as it is now. */
export async function lmHeadNow({ weight, bias }: TrainedLmHead, modelKey: string): Promise<TunedHead> {
  return {
    weight: await valuesNow(weight),
    ...(bias !== undefined && { bias: await valuesNow(bias) }),
    modelKey,
  }
}

async function shared(values: Float32Array): Promise<Float32Array> {
  const copy = new Float32Array(new SharedArrayBuffer(values.byteLength))
  await setTo(copy, values)
  return copy
}
