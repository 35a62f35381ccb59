import { UsageError } from '../../../base/errors.ts'
import { orAborted } from '../../../base/abort.ts'
import { AutoDistributedModelForSequenceClassification } from '../../../client/model/classification-model.ts'
import { AutoDistributedModelForCausalLM } from '../../../client/model/model.ts'
import { countLabels } from '../../../client/training/data/count-labels.ts'
import type { Dataset } from '../../../client/training/data/dataset.ts'
import { loadDataset } from '../../../client/training/data/load-dataset.ts'
import { tune } from '../../../client/training/tune.ts'
import type { TuneMethod } from '../../../client/training/tune-options.ts'
import type { CommandContext } from '../command.ts'
import { requireSwarm } from '../../join/addresses.ts'
import { openClientAs } from '../../join/open-client.ts'
import { Cleanup } from '../../process/cleanup.ts'
import { createLogger } from '../../terminal/logger.ts'
import { requireData } from '../../values/data-file.ts'
import type { TuneValues } from './options.ts'
import { type TrainingPaths, train } from './train.ts'

const WARMUP_STEPS = 10

/** Trains, shows how it goes, and says how to use the result. Rejects with an `InterruptedError` if interrupted. */
export async function runTune(values: TuneValues, { shutdown: { signal } }: CommandContext): Promise<void> {
  const paths = { ...(await requireFiles(values)), out: requireOut(values) }
  requireSwarm(values)
  const cleanup = new Cleanup()
  try {
    await prepareAndTrain(values, paths, cleanup, signal)
  } finally {
    await cleanup.run()
  }
}

async function requireFiles({ data, evalData }: TuneValues): Promise<{ data: string; evalData: string | undefined }> {
  return {
    data: await requireData('--data', data),
    evalData: evalData === undefined ? undefined : await requireData('--eval-data', evalData),
  }
}

function requireOut({ out }: TuneValues): string {
  if (out !== undefined) return out
  throw new UsageError('where should the result go? Give --out a folder')
}

async function prepareAndTrain(
  values: TuneValues,
  paths: TrainingPaths,
  cleanup: Cleanup,
  signal: AbortSignal,
): Promise<void> {
  const numLabels = await countLabels(paths.data)
  if (values.method === 'classifier' && numLabels === undefined)
    throw new UsageError(`--method classifier: ${paths.data} has no labels; expected {"text": ..., "label": ...}`)
  const context = { logger: await createLogger(values.logLevel), cleanup, signal }
  const model = await orAborted<AutoDistributedModelForCausalLM | AutoDistributedModelForSequenceClassification>(
    numLabels === undefined
      ? openClientAs(AutoDistributedModelForCausalLM, values, context)
      : openClientAs(AutoDistributedModelForSequenceClassification, values, { ...context, classifier: numLabels }),
    signal,
  )
  const options = { maxTokens: values.window, template: values.template }
  const dataset = await orAborted(loadDataset(model, paths.data, options), signal)
  const evaluation =
    paths.evalData === undefined
      ? undefined
      : await orAborted(loadDataset(model, paths.evalData, { ...options, labels: dataset.labels }), signal)
  const tuning = tune(model, dataset, tuneOptions(values, paths, evaluation))
  await train(tuning, { values, paths, dataset, evaluation, signal })
}

function tuneOptions(values: TuneValues, { out }: TrainingPaths, evaluation: Dataset | undefined) {
  const { steps, targetModules, weightDecay, warmupSteps = Math.min(WARMUP_STEPS, Math.floor(steps / 10)) } = values
  return {
    method: values.method as TuneMethod,
    steps,
    warmupSteps,
    batchSize: values.batchSize,
    accumulate: values.accumulate,
    learningRate: values.learningRate,
    schedule: values.schedule as 'constant' | 'linear' | 'cosine',
    clipNorm: values.clipNorm,
    seed: values.seed,
    preSeqLen: values.preSeqLen,
    rank: values.rank,
    alpha: values.alpha,
    ...(targetModules.length > 0 && { targetModules }),
    optimizer: { weightDecay },
    evaluation,
    evaluateEvery: values.evalEvery,
    checkpoint: { folder: `${out}/checkpoint`, every: 10 },
  }
}
