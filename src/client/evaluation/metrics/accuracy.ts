import { UsageError } from '../../../base/errors.ts'
import type { Classifier } from '../../tuned/classifier.ts'
import type { Dataset, Example } from '../../training/data/dataset.ts'
import { type Task, indexOfMax, shareOf } from '../task.ts'

/** How often a classifier is right. */
export interface AccuracyResult {
  /** The share of texts, and of a classifier of several labels that are true or not the share of labels. */
  readonly accuracy: number
  readonly accuracyStandardError: number
  readonly texts: number
  /** Of a classifier of classes: how many texts each class has, and how many of them were found. */
  readonly classes?: readonly { readonly label: string; readonly texts: number; readonly right: number }[] | undefined
}

/** The accuracy of a classifier on labelled texts. Throws `USAGE` where there is none, or where it is a regression. */
export function accuracyTask(
  { name, examples, isLabelled, labels: names }: Dataset,
  classifier: Classifier | undefined,
): Task<AccuracyResult> {
  if (classifier === undefined)
    throw new UsageError('this model has no trained head yet: tune it, or open it with a classifier')
  if (!isLabelled) throw new UsageError(`${name}: accuracy needs a label in each record, {"text": ..., "label": ...}`)
  const numLabels = classifier.score.shape[0]!
  if (classifier.problemType === 'regression' || numLabels === 1)
    throw new UsageError('this classifier is a regression: it gives a value, which is neither right nor wrong')
  const isMulti = classifier.problemType === 'multi_label_classification'
  checkLabels(name, examples, numLabels, isMulti)
  return {
    score: 'labels',
    examples,
    summarize: (scores) =>
      isMulti ? ofSeveral(examples, scores) : ofClasses(examples, scores, classifier.labels ?? names),
  }
}

function checkLabels(name: string, examples: readonly Example[], numLabels: number, isMulti: boolean): void {
  const bad = examples.findIndex(({ label }) =>
    isMulti
      ? !Array.isArray(label) || label.length !== numLabels
      : !(Number.isInteger(label) && Number(label) >= 0 && Number(label) < numLabels),
  )
  if (bad < 0) return
  const wanted = isMulti ? `a list of ${numLabels}` : `0 to ${numLabels - 1}`
  throw new UsageError(
    `${name}, record ${bad + 1}: label ${JSON.stringify(examples[bad]!.label)}: this classifier knows ${wanted}`,
  )
}

function ofClasses(
  examples: readonly Example[],
  scores: readonly (readonly number[])[],
  names: readonly string[] | undefined,
): AccuracyResult {
  const right = examples.map(({ label }, i) => indexOfMax(scores[i]!) === label)
  const { share, standardError } = shareOf(right)
  const classes = scores[0]!.map((_, number) => {
    const own = examples.flatMap(({ label }, i) => (label === number ? [right[i]!] : []))
    return { label: names?.[number] ?? String(number), texts: own.length, right: own.filter(Boolean).length }
  })
  return { accuracy: share, accuracyStandardError: standardError, texts: examples.length, classes }
}

function ofSeveral(examples: readonly Example[], scores: readonly (readonly number[])[]): AccuracyResult {
  const right = examples.flatMap(({ label }, i) =>
    (label as readonly number[]).map((each, j) => scores[i]![j]! > 0 === each > 0.5),
  )
  const { share, standardError } = shareOf(right)
  return { accuracy: share, accuracyStandardError: standardError, texts: examples.length }
}
