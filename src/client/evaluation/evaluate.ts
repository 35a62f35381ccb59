import { UsageError } from '../../base/errors.ts'
import type { TunedHead } from '../tuned/tuned-head.ts'
import type { TunedPrompts } from '../tuned/tuned-prompts.ts'
import type { ActiveAdapter } from '../remote/adapters/active-adapter.ts'
import type { DataModel } from '../training/data/load-dataset.ts'
import { batchesOf } from './batches.ts'
import { KeptScores } from './kept-scores.ts'
import type { AccuracyResult } from './metrics/accuracy.ts'
import type { ChoicesResult } from './metrics/choices.ts'
import type { PerplexityResult } from './metrics/perplexity.ts'
import { type ScoringModel, type ScoringOptions, scoresOf } from './scoring.ts'
import { settingsOf } from './settings.ts'
import type { MetricName, Score, Task } from './task.ts'
import { type EvaluationData, tasksOf } from './tasks.ts'

/** How far an evaluation is. */
export interface EvaluationProgress {
  /** Tokens of the sequences that are computed, and of all; a token of several windows counts in each. */
  readonly tokens: number
  readonly totalTokens: number
  /** How many of `tokens` were computed before, by an evaluation that this one goes on from. */
  readonly resumedTokens: number
}

/** How a model is evaluated. */
export interface EvaluateOptions {
  /** By default what the data are for: choices, accuracy where records have a label, perplexity of texts. */
  readonly metrics?: readonly MetricName[] | undefined
  /** The most tokens of one sequence: of a text the windows' size; 1024 by default, or what the model takes. */
  readonly window?: number | undefined
  /** How far the windows of a text lie apart; half of them by default. */
  readonly stride?: number | undefined
  /** The chat template of conversations: `model` (by default), `chatml`, `plain` or a file. */
  readonly template?: string | undefined
  /** Tokens that are computed together, 2048 by default; servers get them in parts. */
  readonly batchTokens?: number | undefined
  /** The adapter, if another than the model's. */
  readonly activeAdapter?: ActiveAdapter | undefined
  /** Tuned prompts, if others than the model's. */
  readonly prompts?: TunedPrompts | undefined
  /** A file in which an evaluation is kept until it is done: the same call goes on where one was broken off. */
  readonly state?: string | undefined
  readonly onProgress?: ((progress: EvaluationProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** What was measured, by the metrics. */
export interface EvaluationResult {
  readonly perplexity?: PerplexityResult
  readonly choices?: ChoicesResult
  readonly accuracy?: AccuracyResult
}

/** The model that is evaluated. */
export interface EvaluatedModel extends DataModel, Omit<ScoringModel, 'padTokenId'> {
  readonly prompts?: TunedPrompts | undefined
  readonly activeAdapter?: ActiveAdapter | undefined
  readonly head?: TunedHead | undefined
  readonly swarm: { readonly modelKey: string }
}

const WINDOW = 1024
const BATCH_TOKENS = 2048

/** Batches under way at once: while one is in the head, others keep several chains of servers busy. */
const UNDER_WAY = 4

/**
 * Evaluates a model on data. Throws `USAGE`, `DATASET_FILE`, `DATASET_RECORD`, `EVALUATION_STATE`, the signal's reason,
 * and what passes through the blocks throw; what was computed is in the state file then.
 */
export async function evaluate(
  model: EvaluatedModel,
  data: EvaluationData,
  options: EvaluateOptions = {},
): Promise<EvaluationResult> {
  const { prompts = model.prompts, activeAdapter = model.activeAdapter, batchTokens = BATCH_TOKENS } = options
  checkCount('batchTokens', batchTokens)
  const tasks = await tasksOf(model, data, options.metrics, {
    ...windowsOf(model, prompts, options),
    ...(options.template !== undefined && { template: options.template }),
  })
  const { classifier, head } = model
  const modelKey = model.swarm.modelKey
  const settings = await settingsOf({ modelKey, tasks, batchTokens, prompts, activeAdapter, classifier, head })
  const kept = await KeptScores.open(options.state, settings)
  const padTokenId = padTokenOf(model)
  const results: Partial<Record<MetricName, unknown>> = {}
  const progress = new Progress(options.onProgress)
  const todo = [...tasks].map(([metric, task]) => {
    const scores = kept.of(metric, task.examples.length)
    progress.expect(task, scores)
    return { metric, task, scores }
  })
  progress.tell()
  try {
    for (const { metric, task, scores } of todo) {
      const batches = batchesOf(task.examples, batchTokens).filter((batch) => batch.some((i) => scores[i] === null))
      await together(batches, options.signal, async (batch, signal) => {
        const examples = batch.map((i) => task.examples[i]!)
        const how: ScoringOptions = { prompts, activeAdapter, signal }
        const found = await scoresOf(task.score, { ...pick(model), padTokenId }, examples, how)
        for (const [j, i] of batch.entries()) scores[i] = found[j]!
        progress.add(examples)
        await kept.changed()
      })
      results[metric] = task.summarize(scores as Score[])
    }
  } catch (error) {
    await kept.write()
    throw error
  }
  await kept.remove()
  return results as EvaluationResult
}

function pick({ ends, layers, classifier }: EvaluatedModel): Omit<ScoringModel, 'padTokenId'> {
  return { ends, layers, classifier }
}

/** The sizes of windows. Throws `USAGE` for those that cannot be. */
function windowsOf(
  { checkpoint }: EvaluatedModel,
  prompts: TunedPrompts | undefined,
  options: EvaluateOptions,
): { window: number; stride: number } {
  const most = checkpoint.config.maxLength - (prompts?.before.shape[0] ?? 0)
  const window = options.window ?? Math.min(WINDOW, most)
  if (!Number.isInteger(window) || window < 2 || window > most)
    throw new UsageError(
      `window is ${window}: this model takes 2 to ${most} tokens` +
        (prompts === undefined ? '' : ' behind the tuned prompts'),
    )
  const stride = options.stride ?? Math.ceil(window / 2)
  if (!Number.isInteger(stride) || stride < 1 || stride > window)
    throw new UsageError(`stride is ${stride}: expected 1 to ${window}, the window`)
  return { window, stride }
}

function padTokenOf({ checkpoint }: EvaluatedModel): number | undefined {
  const id = checkpoint.config.raw['pad_token_id']
  return typeof id === 'number' ? id : undefined
}

function checkCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) throw new UsageError(`${name} is ${value}: expected an integer from 1`)
}

/** Counts tokens. */
class Progress {
  readonly #listener: EvaluateOptions['onProgress']
  #tokens = 0
  #totalTokens = 0
  #resumedTokens = 0

  constructor(listener: EvaluateOptions['onProgress']) {
    this.#listener = listener
  }

  expect({ examples }: Task, scores: readonly (Score | null)[]): void {
    for (const [i, { ids }] of examples.entries()) {
      this.#totalTokens += ids.length
      if (scores[i] !== null) this.#resumedTokens += ids.length
    }
    this.#tokens = this.#resumedTokens
  }

  add(examples: Task['examples']): void {
    for (const { ids } of examples) this.#tokens += ids.length
    this.tell()
  }

  tell(): void {
    this.#listener?.({ tokens: this.#tokens, totalTokens: this.#totalTokens, resumedTokens: this.#resumedTokens })
  }
}

/** Works on all items, a few at a time, in order; the first failure ends the others. */
async function together<T>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController()
  const all = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  const left = items.values()
  const lanes = Array.from({ length: UNDER_WAY }, async () => {
    for (const item of left) {
      all.throwIfAborted()
      await work(item, all).catch((error: unknown) => {
        stop.abort(error)
        throw error
      })
    }
  })
  await Promise.allSettled(lanes)
  all.throwIfAborted()
}
