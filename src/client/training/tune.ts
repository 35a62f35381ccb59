// Room training/: a client trains what is its own, prompts, adapters and heads, through blocks that servers hold and
// that stay as they are. data/ makes batches, methods/ what is trained, tape/ its gradients, optimizers/ new values of
// these; `running.ts` is a training under way, checkpoints/ and results/ what is left of it on disk.

import { UsageError } from '../../base/errors.ts'
import { asFloat32 } from '../../tensor/tensor.ts'
import type { Dataset } from './data/dataset.ts'
import { newScore, problemTypeOf } from './methods/classifier-head.ts'
import { newLmHead } from './methods/lm-head.ts'
import { newLora } from './methods/lora.ts'
import { newPrompts } from './methods/prompts.ts'
import type { Trained, TrainedHead } from './methods/trained.ts'
import { parameter } from './parameter.ts'
import { SwarmBlocks } from './swarm-blocks.ts'
import { type TunableModel, batchModelOf } from './tunable-model.ts'
import { type ResolvedTuneOptions, type TuneOptions, resolveTuneOptions } from './tune-options.ts'
import { Tuning } from './tuning.ts'

/**
 * Trains prompts, an adapter or a head on `dataset` (`loadDataset`): iterate over the steps. Servers keep
 * nothing of it, and their weights do not change. Throws `USAGE` for options that cannot be, and `DATASET_RECORD` for
 * labels that do not fit; all else while it is iterated.
 */
export function tune(model: TunableModel, dataset: Dataset, options: TuneOptions): Tuning {
  // Programs in JavaScript have nobody else to tell them.
  if ((dataset as Dataset | undefined) === undefined || (options as TuneOptions | undefined) === undefined)
    throw new UsageError('tune takes a model, a data set (loadDataset) and options')
  const resolved = resolveTuneOptions(options)
  for (const each of [dataset, options.evaluation]) if (each !== undefined) checkDataset(model, each, resolved)
  const blocks = new SwarmBlocks(model.layers, options.signal)
  return new Tuning({
    batchModel: batchModelOf(model, blocks),
    begin: (seed) => begin(model, dataset, resolved, seed),
    onChange: (trained) => blocks.update(trained),
    dataset,
    options: resolved,
    modelKey: model.swarm.modelKey,
    model: model.checkpoint.folder,
  })
}

async function begin(
  { layers, ends, ...model }: TunableModel,
  dataset: Dataset,
  options: ResolvedTuneOptions,
  seed: number,
): Promise<Trained> {
  const { method, preSeqLen, rank, alpha, targetModules } = options
  const { config } = layers
  return {
    ...((method === 'ptune' || method === 'deep_ptune') && {
      prompts: await newPrompts(config, { preSeqLen, isDeep: method === 'deep_ptune', seed }),
    }),
    ...(method === 'lora' && { lora: await newLora(config, { rank, alpha, targetModules, seed }) }),
    ...(method === 'head' && { lmHead: await newLmHead(config, await ends.headWeights()) }),
    ...(model.numLabels !== undefined && { head: await headOf(model, dataset, config, seed) }),
  }
}

/** The model's head, which training goes on from, or a new one. */
async function headOf(
  { classifier, numLabels = 0 }: Pick<TunableModel, 'classifier' | 'numLabels'>,
  dataset: Dataset,
  config: TunableModel['layers']['config'],
  seed: number,
): Promise<TrainedHead> {
  const values =
    classifier === undefined ? await newScore(config, numLabels, seed) : asFloat32(classifier.score).slice()
  const score = parameter('score', [numLabels, config.hiddenSize], values)
  return { score, problemType: problemTypeOf(dataset, numLabels) }
}

function checkDataset(
  { numLabels, prompts, activeAdapter, checkpoint }: TunableModel,
  dataset: Dataset,
  { method, preSeqLen }: ResolvedTuneOptions,
): void {
  const { maxLength } = checkpoint.config
  const longest = dataset.examples.reduce(
    (most, { ids }) => Math.max(most, ids.length - (numLabels === undefined ? 1 : 0)),
    0,
  )
  const positions = longest + (method === 'ptune' || method === 'deep_ptune' ? preSeqLen : 0)
  if (positions > maxLength)
    throw new UsageError(
      `${dataset.name} and the prompts before it take ${positions} positions, and this model has ${maxLength}: ` +
        'load the data with a smaller maxTokens',
    )
  if (prompts !== undefined)
    throw new UsageError('this model has tuned prompts of its own: tune one that was opened without them')
  if (activeAdapter !== undefined && method === 'lora')
    throw new UsageError('this model has an adapter, which another one would replace: open it without activeAdapter')
  if (numLabels === undefined && method === 'classifier')
    throw new UsageError('method classifier: only AutoDistributedModelForSequenceClassification has a head to train')
  if (numLabels !== undefined && method === 'head')
    throw new UsageError('method head: a classifier has no head that predicts tokens; its own is method classifier')
  if (dataset.isLabelled !== (numLabels !== undefined))
    throw new UsageError(
      `${dataset.name} ${dataset.isLabelled ? 'has' : 'has no'} labels: a causal model learns texts, and ` +
        'AutoDistributedModelForSequenceClassification texts with labels',
    )
  if (numLabels !== undefined) problemTypeOf(dataset, numLabels)
}
