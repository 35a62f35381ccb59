import { UsageError } from '../../base/errors.ts'
import { asFloat32 } from '../../tensor/tensor.ts'
import type { Dataset } from './data/dataset.ts'
import { problemTypeOf } from './methods/classifier-head.ts'
import type { Trained } from './methods/trained.ts'
import { parameter } from './parameter.ts'
import { SwarmBlocks } from './swarm-blocks.ts'
import { meanLoss } from './trainer.ts'
import { type TunableModel, batchModelOf } from './tunable-model.ts'

/** How a model is evaluated. */
export interface EvaluateOptions {
  /** Sequences that are computed at once; 8 by default. */
  readonly batchSize?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What an evaluation has found. */
export interface EvaluationResult {
  /** The mean loss, in nats per token, or per sequence of a classifier. */
  readonly loss: number
  /** How many tokens, by their weights, or sequences it is the mean of. */
  readonly count: number
}

const BATCH_SIZE = 8

/**
 * The mean loss of a model, with the tuned prompts, the adapter and the head that it has. Throws `USAGE`, and what
 * passes through the blocks throw.
 */
export async function evaluate(
  model: TunableModel,
  dataset: Dataset,
  { batchSize = BATCH_SIZE, signal }: EvaluateOptions = {},
): Promise<EvaluationResult> {
  const batchModel = batchModelOf(model, new SwarmBlocks(model.layers, signal))
  const { loss, weight } = await meanLoss(batchModel, partsOf(model, dataset), dataset.examples, batchSize, signal)
  return { loss, count: weight }
}

/** What a model has of its own, as what is trained is seen. */
function partsOf({ prompts, classifier, numLabels }: TunableModel, dataset: Dataset): Trained {
  if (dataset.isLabelled !== (numLabels !== undefined))
    throw new UsageError(`${dataset.name} ${dataset.isLabelled ? 'has labels' : 'has no labels'}: not for this model`)
  if (numLabels !== undefined && classifier === undefined)
    throw new UsageError('this model has no trained head yet: tune it, or give fromPretrained a classifier')
  return {
    prompts: prompts && {
      before: parameter('prompts', prompts.before.shape, asFloat32(prompts.before)),
      deep: prompts.deep && parameter('deep_prompts', prompts.deep.shape, asFloat32(prompts.deep)),
    },
    head: classifier && {
      score: parameter('score', classifier.score.shape, asFloat32(classifier.score)),
      problemType: problemTypeOf(dataset, classifier.score.shape[0]!),
    },
  }
}
