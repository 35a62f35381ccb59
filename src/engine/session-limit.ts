import { PetalsError } from '../base/errors.ts'
import type { ModelConfig } from '../checkpoint/config/config.ts'
import type { Tensor } from '../tensor/tensor.ts'

/** Throws `SESSION_TOO_LONG` for a length that the model's positions do not allow. */
export function checkSessionLength({ maxLength: limit }: Pick<ModelConfig, 'maxLength'>, maxLength: number): void {
  if (Number.isInteger(maxLength) && maxLength >= 1 && maxLength <= limit) return
  throw new PetalsError(
    'SESSION_TOO_LONG',
    `a session of ${maxLength} tokens, prompt and answer together: this model takes 1 to ${limit}`,
  )
}

/** Throws `TENSOR_SHAPE` for anything but a float tensor [blocks, tokens, hidden]. */
export function checkPrompts(prompts: Tensor, numBlocks: number, hiddenSize: number): void {
  const [blocks, , width] = prompts.shape
  if (prompts.shape.length === 3 && blocks === numBlocks && width === hiddenSize) return
  throw new PetalsError(
    'TENSOR_SHAPE',
    `deep prompts [${prompts.shape}]: expected [${numBlocks}, tokens, ${hiddenSize}], for each block what is ` +
      'added to its input',
  )
}
