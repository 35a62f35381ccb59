import { join } from 'node:path'
import { Fields } from '../../../checkpoint/config/fields.ts'
import { readJsonObject } from '../../../checkpoint/files/json.ts'
import { CheckpointError } from '../../../checkpoint/files/errors.ts'
import { writeByRename } from '../../../checkpoint/files/write-by-rename.ts'
import { writeSafetensors } from '../../../checkpoint/weights/write-safetensors.ts'
import type { Classifier, ProblemType } from '../../tuned/classifier.ts'
import { readTensors } from './read-tensors.ts'

const CONFIG = 'classifier.json'
const TENSORS = 'classifier.safetensors'

const TYPES: readonly string[] = [
  'single_label_classification',
  'multi_label_classification',
  'regression',
] satisfies ProblemType[]

/** Writes a classifier's head into a folder; its tensor has the name that transformers knows. */
export async function saveClassifier(folder: string, classifier: Classifier): Promise<void> {
  const { score, labels, problemType, modelKey } = classifier
  await writeSafetensors(join(folder, TENSORS), new Map([['score.weight', score]]))
  const config = { problem_type: problemType, labels, model_key: modelKey }
  await writeByRename(join(folder, CONFIG), `${JSON.stringify(config, undefined, 2)}\n`)
}

/**
 * Reads a head that `saveClassifier` has written. Throws `CHECKPOINT_...` for files that are missing, damaged or
 * contradict each other.
 */
export async function loadClassifier(folder: string): Promise<Classifier> {
  const file = join(folder, CONFIG)
  const json = await readJsonObject(file)
  const config = new Fields(json, file)
  const score = (await readTensors(join(folder, TENSORS))).get('score.weight')
  if (score === undefined)
    throw new CheckpointError('CHECKPOINT_MISSING_TENSOR', `${join(folder, TENSORS)} has no score.weight`)
  const { labels } = json
  const isNamed = Array.isArray(labels) && labels.every((label) => typeof label === 'string')
  if (labels !== undefined && (!isNamed || labels.length !== score.shape[0]))
    throw new CheckpointError(
      'CHECKPOINT_CONFIG',
      `${file}: labels must be ${score.shape[0]} texts, one for each label`,
    )
  const problemType = config.get('problem_type') === undefined ? undefined : config.text('problem_type')
  if (problemType !== undefined && !TYPES.includes(problemType)) config.fail('problem_type', `must be one of ${TYPES}`)
  const modelKey = config.get('model_key') === undefined ? undefined : config.text('model_key')
  return {
    score,
    ...(isNamed && { labels: labels as string[] }),
    ...(problemType !== undefined && { problemType: problemType as ProblemType }),
    ...(modelKey !== undefined && { modelKey }),
  }
}
