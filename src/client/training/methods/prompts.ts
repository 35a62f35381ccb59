import { UsageError } from '../../../base/errors.ts'
import type { ModelConfig } from '../../../checkpoint/config/config.ts'
import type { TunedPrompts } from '../../tuned/tuned-prompts.ts'
import { type Parameter, parameter, valuesNow } from '../parameter.ts'
import { normalValues } from './draws.ts'

/** Prompts while they are trained. */
export interface TrainedPrompts {
  /** [positions, hidden]. */
  readonly before: Parameter
  /** [blocks, positions, hidden]. */
  readonly deep?: Parameter | undefined
}

/** The standard deviation of the embeddings that training begins with, as in Petals. */
const DEVIATION = 0.02

/**
 * New prompts as Petals begins them: those before the text are drawn, what is added inside of the blocks is zero.
 * Throws `USAGE` for a length that cannot be.
 */
export async function newPrompts(
  { hiddenSize, numBlocks, maxLength }: Pick<ModelConfig, 'hiddenSize' | 'numBlocks' | 'maxLength'>,
  { preSeqLen, isDeep, seed }: { readonly preSeqLen: number; readonly isDeep: boolean; readonly seed: number },
): Promise<TrainedPrompts> {
  if (!Number.isInteger(preSeqLen) || preSeqLen < 1 || preSeqLen >= maxLength)
    throw new UsageError(`preSeqLen is ${preSeqLen}: expected 1 to ${maxLength - 1}, the positions that prompts take`)
  const values = await normalValues(preSeqLen * hiddenSize, DEVIATION, seed, 'prompts')
  return {
    before: parameter('prompts', [preSeqLen, hiddenSize], values),
    ...(isDeep && { deep: parameter('deep_prompts', [numBlocks, preSeqLen, hiddenSize]) }),
  }
}

/** A copy of prompts as they are now. */
export async function promptsNow({ before, deep }: TrainedPrompts, modelKey: string): Promise<TunedPrompts> {
  return {
    before: await valuesNow(before),
    ...(deep !== undefined && { deep: await valuesNow(deep) }),
    modelKey,
  }
}
