import { PetalsError } from '../../base/errors.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'

/**
 * Prompts that were trained and not written (Lester et al., "The Power of Scale for Parameter-Efficient Prompt
 * Tuning"; Liu et al., "P-Tuning v2").
 */
export interface TunedPrompts {
  /** Embeddings of no words, put before every text: float32 [positions, hidden]. */
  readonly before: Tensor
  /** What is added to each block's input at these positions: float32 [blocks, positions, hidden]. */
  readonly deep?: Tensor | undefined
  /** The model that they were trained for, by its key; unknown: any of their shape is taken. */
  readonly modelKey?: string | undefined
}

/** Throws `PROMPTS_MISFIT` for prompts of another model. */
export function checkTunedPrompts(
  { before, deep, modelKey }: TunedPrompts,
  { hiddenSize, numBlocks }: Pick<ModelConfig, 'hiddenSize' | 'numBlocks'>,
  ownKey: string,
): void {
  const [positions] = before.shape
  if (modelKey !== undefined && modelKey !== ownKey)
    throw misfit(`they were trained for ${modelKey}, and this is ${ownKey}`)
  if (before.shape.length !== 2 || before.shape[1] !== hiddenSize || before.dtype !== 'float32')
    throw misfit(`they are ${before.dtype} [${before.shape}], and it takes float32 [positions, ${hiddenSize}]`)
  if (deep !== undefined && `${deep.shape}` !== `${[numBlocks, positions, hiddenSize]}`)
    throw misfit(`those of the blocks are [${deep.shape}] where [${numBlocks}, ${positions}, ${hiddenSize}] is due`)
}

function misfit(problem: string): PetalsError {
  return new PetalsError('PROMPTS_MISFIT', `tuned prompts do not fit this model: ${problem}`)
}

/** Puts prompts before a sequence [tokens, hidden], or before each of [batch, tokens, hidden]. */
export function withPrompts(before: Tensor, hidden: Tensor): Tensor {
  const [tokens = 0, width = 0] = hidden.shape.slice(-2)
  const batch = hidden.shape.length === 3 ? hidden.shape[0]! : 1
  const bytes = hidden.data.byteLength / batch
  const rows = Array.from({ length: batch }, (_, i) => [before.data, hidden.data.subarray(i * bytes, (i + 1) * bytes)])
  return tensor(
    hidden.dtype,
    [...hidden.shape.slice(0, -2), before.shape[0]! + tokens, width],
    Buffer.concat(rows.flat()),
  )
}

/** Takes what stands at the first `positions` of each sequence off [batch, tokens, hidden]. */
export function withoutPrompts(positions: number, hidden: Tensor): Tensor {
  const [batch = 0, tokens = 0, width = 0] = hidden.shape
  const bytes = hidden.data.byteLength / batch
  const front = (bytes / tokens) * positions
  const rows = Array.from({ length: batch }, (_, i) => hidden.data.subarray(i * bytes + front, (i + 1) * bytes))
  return tensor(hidden.dtype, [batch, tokens - positions, width], Buffer.concat(rows))
}
