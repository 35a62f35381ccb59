import { PetalsError } from '../../base/errors.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { BlockRange } from '../cache/kv-cache.ts'

/** What hidden states of a span are. */
export interface HiddenKind {
  readonly dtype: FloatDType
  readonly hiddenSize: number
}

/** Throws `SESSION_TOO_LONG` for a length that the model's positions do not allow. */
export function checkSessionLength({ maxLength: limit }: Pick<ModelConfig, 'maxLength'>, maxLength: number): void {
  if (Number.isInteger(maxLength) && maxLength >= 1 && maxLength <= limit) return
  throw new PetalsError(
    'SESSION_TOO_LONG',
    `a session of ${maxLength} tokens, prompt and answer together: this model takes 1 to ${limit}`,
  )
}

/** Throws `TENSOR_SHAPE` for anything but a tensor [blocks, tokens, hidden]. */
export function checkPrompts(prompts: Tensor, numBlocks: number, hiddenSize: number): void {
  const [blocks, , width] = prompts.shape
  if (prompts.shape.length === 3 && blocks === numBlocks && width === hiddenSize) return
  throw new PetalsError(
    'TENSOR_SHAPE',
    `deep prompts [${prompts.shape}]: expected [${numBlocks}, tokens, ${hiddenSize}], for each block what is ` +
      'added to its input',
  )
}

/** Throws `SPAN_NOT_HELD` for blocks of the model that are not among those of a span. */
export function checkSpan(span: BlockRange, { start, end }: BlockRange): void {
  if (Number.isInteger(start) && Number.isInteger(end) && span.start <= start && start < end && end <= span.end) return
  throw new PetalsError(
    'SPAN_NOT_HELD',
    `blocks ${start}:${end} were asked for, this server holds ${span.start}:${span.end}`,
  )
}

/**
 * Throws `TENSOR_SHAPE` for anything but hidden states [..., hidden] of so many axes in the span's dtype, of one token
 * or more.
 */
export function checkHidden(hidden: Tensor, axes: 2 | 3, { dtype, hiddenSize }: HiddenKind): void {
  const { shape } = hidden
  const isRight = hidden.dtype === dtype && shape.length === axes && shape.at(-1) === hiddenSize
  if (isRight && shape.every((size) => size >= 1)) return
  const wanted = `${dtype} [${axes === 3 ? 'sequences, ' : ''}tokens, ${hiddenSize}]`
  throw new PetalsError('TENSOR_SHAPE', `hidden states ${hidden.dtype} [${shape}]: expected ${wanted}`)
}
