// Room data/: texts become sequences of ids with what is to be learned of each, in an order, in batches.

import { createHash } from 'node:crypto'
import { PetalsError } from '../../../base/errors.ts'
import { turn } from '../../../base/pace.ts'

/** One sequence. */
export interface Example {
  readonly ids: Int32Array
  /** What counts the loss of predicting each id from those before it; the first id is never predicted. */
  readonly weights: Float32Array
  /** Of a sequence that is to be classified: a label's number, a value, or a 0 to 1 for each label. */
  readonly label?: number | readonly number[] | undefined
}

/** Sequences to learn from or to evaluate on. */
export interface Dataset {
  /** Where it comes from, for messages. */
  readonly name: string
  readonly examples: readonly Example[]
  /** Whether every example has a label (to classify), or none (to predict the next token). */
  readonly isLabelled: boolean
  /** The names of labels, by their numbers, where the data name them by texts. */
  readonly labels?: readonly string[] | undefined
  /** How many examples were longer than allowed and were cut at their end. */
  readonly numCut: number
  /** How many were left out, since nothing of them was left to learn. */
  readonly numDropped: number
  /** Equal for equal examples in the same order. */
  readonly digest: string
}

/** A record that cannot be used (code `DATASET_RECORD`), or a file (`DATASET_FILE`). */
export class DatasetError extends PetalsError {}

/** The digest of examples, over all that matters in training. */
export async function digestOf(examples: readonly Example[]): Promise<string> {
  const hash = createHash('sha256')
  for (const { ids, weights, label } of examples) {
    hash
      .update(`${ids.length} ${JSON.stringify(label)};`)
      .update(ids)
      .update(weights)
    await turn()
  }
  return hash.digest('hex')
}
