import { PetalsError } from '../../base/errors.ts'
import type { Tensor } from '../../tensor/tensor.ts'

/** What the loss of a classifier is, by transformers' names. */
export type ProblemType = 'single_label_classification' | 'multi_label_classification' | 'regression'

/** A head that tells texts apart: logits = score x, x being the last norm's output at a text's last token. */
export interface Classifier {
  /** float32 [labels, hidden]. */
  readonly score: Tensor
  /** The names of the labels, where they have some. */
  readonly labels?: readonly string[] | undefined
  /** What it was trained for. */
  readonly problemType?: ProblemType | undefined
  /** The model that it was trained for, by its key; unknown: any of its hidden size is taken. */
  readonly modelKey?: string | undefined
}

/** Throws `CLASSIFIER_MISFIT` for a head of another model. */
export function checkClassifier({ score, modelKey }: Classifier, hiddenSize: number, ownKey: string): void {
  const isFit = score.dtype === 'float32' && score.shape.length === 2 && score.shape[1] === hiddenSize
  if (isFit && (modelKey === undefined || modelKey === ownKey)) return
  const problem = isFit
    ? `it was trained for ${modelKey}, and this is ${ownKey}`
    : `its score is ${score.dtype} [${score.shape}], and it takes float32 [labels, ${hiddenSize}]`
  throw new PetalsError('CLASSIFIER_MISFIT', `the classifier does not fit this model: ${problem}`)
}

/**
 * The token at which each sequence is seen whole, as transformers has it: the last that is not the padding token, and
 * of a model without one the last.
 */
export function pooledPosition(ids: ArrayLike<number>, padId: number | undefined): number {
  let at = ids.length - 1
  while (at > 0 && ids[at] === padId) at--
  return at
}
