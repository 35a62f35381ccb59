import { UsageError } from '../../base/errors.ts'
import type { Dataset } from './data/dataset.ts'
import type { OptimizerOptions } from './optimizers/optimizer.ts'
import { type ScheduleName, checkSchedule } from './optimizers/schedule.ts'

/**
 * What is trained, by Petals' and PEFT's names: prompts before the text; these and prompts inside of all blocks;
 * low-rank changes of the blocks' linear layers; the head that predicts tokens; nothing but a classifier's head, which
 * is trained with each of the others, too.
 */
export type TuneMethod = 'ptune' | 'deep_ptune' | 'lora' | 'head' | 'classifier'

/** Where a training is kept, so that it can go on. */
export interface CheckpointOptions {
  readonly folder: string
  /** Steps between two checkpoints; 50 by default. One is written at the end as well, and where a caller breaks off. */
  readonly every?: number | undefined
}

/** How a model is tuned. */
export interface TuneOptions {
  readonly method: TuneMethod
  /** Optimizer steps in all. */
  readonly steps: number
  /** Sequences that are computed at once; 8 by default. */
  readonly batchSize?: number | undefined
  /** Batches whose gradients make one step; 1 by default. */
  readonly accumulate?: number | undefined
  /** By default 5e-2 for prompts, 1e-3 for all else. */
  readonly learningRate?: number | undefined
  readonly optimizer?: OptimizerOptions | undefined
  /** `constant` by default. */
  readonly schedule?: ScheduleName | undefined
  /** Steps in which the learning rate rises from zero; 0 by default. */
  readonly warmupSteps?: number | undefined
  /** Gradients of a larger norm are scaled down to it; by default none are. */
  readonly clipNorm?: number | undefined
  /** From which all draws follow; a random one by default, which `Tuning.seed` tells. */
  readonly seed?: number | undefined
  /** Whether each epoch has an order of its own; true by default. */
  readonly shuffle?: boolean | undefined
  /** Whether sequences of similar lengths share batches; false by default. */
  readonly bucket?: boolean | undefined
  /** Prompts' positions; 16 by default. */
  readonly preSeqLen?: number | undefined
  /** Of LoRA; 8 by default. */
  readonly rank?: number | undefined
  /** Of LoRA, whose changes are multiplied by alpha / rank; 16 by default. */
  readonly alpha?: number | undefined
  /** The layers that LoRA changes, by the ends of their names; all linear layers of the blocks by default. */
  readonly targetModules?: readonly string[] | undefined
  /** What the tuned model is evaluated on, and the best kept by. */
  readonly evaluation?: Dataset | undefined
  /** Steps between two evaluations; 50 by default. The last step is followed by one as well. */
  readonly evaluateEvery?: number | undefined
  readonly checkpoint?: CheckpointOptions | undefined
  /** Ends the training with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/** Options of which none is left open but for the seed. */
export interface ResolvedTuneOptions extends TuneOptions {
  readonly batchSize: number
  readonly accumulate: number
  readonly learningRate: number
  readonly schedule: ScheduleName
  readonly warmupSteps: number
  readonly clipNorm: number
  readonly shuffle: boolean
  readonly bucket: boolean
  readonly preSeqLen: number
  readonly rank: number
  readonly alpha: number
  readonly evaluateEvery: number
}

const METHODS: readonly TuneMethod[] = ['ptune', 'deep_ptune', 'lora', 'head', 'classifier']

const RATES: Readonly<Record<TuneMethod, number>> = {
  ptune: 5e-2,
  deep_ptune: 5e-2,
  lora: 1e-3,
  head: 1e-3,
  classifier: 1e-3,
}

/** Fills in defaults. Throws `USAGE` for options that cannot be. */
export function resolveTuneOptions(options: TuneOptions): ResolvedTuneOptions {
  if (!METHODS.includes(options.method))
    throw new UsageError(`method ${JSON.stringify(options.method)}: expected one of ${METHODS.join(', ')}`)
  const resolved = {
    ...options,
    batchSize: options.batchSize ?? 8,
    accumulate: options.accumulate ?? 1,
    learningRate: options.learningRate ?? RATES[options.method],
    schedule: options.schedule ?? 'constant',
    warmupSteps: options.warmupSteps ?? 0,
    clipNorm: options.clipNorm ?? Infinity,
    shuffle: options.shuffle ?? true,
    bucket: options.bucket ?? false,
    preSeqLen: options.preSeqLen ?? 16,
    rank: options.rank ?? 8,
    alpha: options.alpha ?? 16,
    evaluateEvery: options.evaluateEvery ?? 50,
  }
  for (const name of ['steps', 'batchSize', 'accumulate', 'evaluateEvery'] as const) checkCount(name, resolved[name])
  if (options.checkpoint?.every !== undefined) checkCount('checkpoint.every', options.checkpoint.every)
  if (options.seed !== undefined && (!Number.isSafeInteger(options.seed) || options.seed < 0))
    throw new UsageError(`seed is ${options.seed}: expected an integer from 0`)
  for (const name of ['learningRate', 'clipNorm'] as const)
    if (!(resolved[name] > 0)) throw new UsageError(`${name} is ${resolved[name]}: expected a number above 0`)
  checkSchedule({ name: resolved.schedule, warmupSteps: resolved.warmupSteps, steps: resolved.steps })
  return resolved
}

function checkCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) throw new UsageError(`${name} is ${value}: expected an integer from 1`)
}

/** Options of each method alone: they say nothing of another's training. */
const OF_METHODS: Readonly<Record<TuneMethod, readonly (keyof ResolvedTuneOptions)[]>> = {
  ptune: ['preSeqLen'],
  deep_ptune: ['preSeqLen'],
  lora: ['rank', 'alpha', 'targetModules'],
  head: [],
  classifier: [],
}

/** What decides on the course of a training, by the options' names. */
export function settingsOf(options: ResolvedTuneOptions): Record<string, unknown> {
  const { name = 'adamw', ...optimizer } = options.optimizer ?? {}
  const common = ['method', 'steps', 'batchSize', 'accumulate', 'learningRate', 'schedule', 'warmupSteps'] as const
  const names = [...common, 'shuffle', 'bucket', ...OF_METHODS[options.method]] as const
  return {
    ...Object.fromEntries(names.map((each) => [each, options[each]])),
    // Infinity is not for JSON.
    clipNorm: Number.isFinite(options.clipNorm) ? options.clipNorm : 'none',
    optimizer: { name, ...optimizer },
    evaluateEvery: options.evaluation === undefined ? 'never' : options.evaluateEvery,
  }
}
