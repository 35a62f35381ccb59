import { PetalsError } from '../../base/errors.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { HeadWeights } from '../../engine/ends/head-weights.ts'
import { headParameters } from '../../families/graphs/head-parameters.ts'
import { type Tensor, asFloat32 } from '../../tensor/tensor.ts'

/** A head that predicts tokens, in place of the model's own. The embedding stays, where both were one matrix. */
export interface TunedHead {
  /** float32 [vocab, hidden]. */
  readonly weight: Tensor
  /** float32 [vocab], where the model's head has one. */
  readonly bias?: Tensor | undefined
  /** The model that it was trained for, by its key; unknown: any of its shape is taken. */
  readonly modelKey?: string | undefined
}

/** Throws `HEAD_MISFIT` for a head of another model. */
export function checkTunedHead({ weight, bias, modelKey }: TunedHead, config: ModelConfig, ownKey: string): void {
  if (modelKey !== undefined && modelKey !== ownKey)
    throw misfit(`it was trained for ${modelKey}, and this is ${ownKey}`)
  const due = headParameters(config)
  for (const [name, given, wanted] of [
    ['weight', weight, due.weight.shape],
    ['bias', bias, due.bias?.shape],
  ] as const) {
    const [found, expected] = [given && `${given.dtype} [${given.shape}]`, wanted && `float32 [${wanted}]`]
    if (found !== expected) throw misfit(`its ${name} is ${found ?? 'not there'}, and ${expected ?? 'none'} is due`)
  }
}

/** The head as the ends take it. */
export function headWeightsOf({ weight, bias }: TunedHead): HeadWeights {
  return { weight: asFloat32(weight), ...(bias !== undefined && { bias: asFloat32(bias) }) }
}

function misfit(problem: string): PetalsError {
  return new PetalsError('HEAD_MISFIT', `the tuned head does not fit this model: ${problem}`)
}
