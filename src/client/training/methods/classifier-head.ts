import { UsageError } from '../../../base/errors.ts'
import type { ModelConfig } from '../../../checkpoint/config/config.ts'
import type { ProblemType } from '../../tuned/classifier.ts'
import type { Dataset } from '../data/dataset.ts'
import { refused } from '../data/records.ts'
import { binaryCrossEntropy, crossEntropy, meanSquares } from '../tape/losses.ts'
import type { Tape, Variable } from '../tape/tape.ts'
import { normalValues } from './draws.ts'

/** The standard deviation of a new head's weights where config.json names no other, as in transformers. */
const INITIALIZER_RANGE = 0.02

/** A new head's weights [labels, hidden], drawn as transformers draws them. Throws `USAGE` for less than one label. */
export async function newScore(
  { raw, hiddenSize }: ModelConfig,
  numLabels: number,
  seed: number,
): Promise<Float32Array> {
  if (!Number.isInteger(numLabels) || numLabels < 1)
    throw new UsageError(`a classifier of ${numLabels} labels: expected an integer from 1`)
  const range = raw['initializer_range']
  return normalValues(numLabels * hiddenSize, typeof range === 'number' ? range : INITIALIZER_RANGE, seed, 'score')
}

/**
 * What kind of classifier data ask for, as transformers decides it: one label is a regression, whole numbers are
 * classes of which one is right, lists are labels that are right or wrong each by itself. Throws `DATASET_RECORD` for a
 * label that the head does not have.
 */
export function problemTypeOf({ name, examples }: Dataset, numLabels: number): ProblemType {
  const isList = Array.isArray(examples[0]?.label)
  const type = numLabels === 1 ? 'regression' : isList ? 'multi_label_classification' : 'single_label_classification'
  for (const [i, { label }] of examples.entries()) {
    if (label === undefined) throw refused(`${name}, record ${i}`, 'it has no label', 'a classifier learns from labels')
    const isRight =
      type === 'single_label_classification'
        ? Number.isInteger(label) && Number(label) >= 0 && Number(label) < numLabels
        : [label].flat().length === numLabels
    if (!isRight)
      throw refused(`${name}, record ${i}`, `label ${JSON.stringify(label)}`, `the head has ${numLabels} labels`)
  }
  return type
}

/** The sum over sequences of the loss: `logits` [sequences, labels] -> [1]. */
export function classifierLoss(
  tape: Tape,
  logits: Variable,
  labels: readonly (number | readonly number[] | undefined)[],
  type: ProblemType,
): Variable {
  if (type === 'single_label_classification') return crossEntropy(tape, logits, labels.map(Number))
  const targets = Float32Array.from(labels.flatMap((label) => label ?? 0))
  return (type === 'regression' ? meanSquares : binaryCrossEntropy)(tape, logits, targets)
}
