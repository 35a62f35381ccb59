import { randomInt } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { PetalsError } from '../../base/errors.ts'
import type { BatchModel } from './batch-loss.ts'
import {
  type BestEvaluation,
  type TrainingSettings,
  type TrainingState,
  loadCheckpoint,
  saveCheckpoint,
} from './checkpoints/training-checkpoint.ts'
import type { Dataset, Example } from './data/dataset.ts'
import { ExampleOrder } from './data/order.ts'
import { copyOf, setTo } from './arithmetic.ts'
import { type Trained, parametersOf, withValues } from './methods/trained.ts'
import { rateFactor } from './optimizers/schedule.ts'
import { onDisk } from './results/on-disk.ts'
import { Trainer } from './trainer.ts'
import { type ResolvedTuneOptions, settingsOf } from './tune-options.ts'

/** One step of a training. */
export interface TuneStep {
  /** From 1. */
  readonly step: number
  /** The mean loss of the step's sequences, before it: in nats per token, or per sequence of a classifier. */
  readonly loss: number
  /** Tokens of its sequences. */
  readonly tokens: number
  readonly seconds: number
  readonly learningRate: number
  /** The norm of all gradients, before it was clipped. */
  readonly gradientNorm: number
  /** Where the tuned model was evaluated after the step. */
  readonly evaluation?: Evaluation | undefined
}

/** An evaluation on the way. */
export interface Evaluation {
  readonly loss: number
  /** Whether it is the best so far, whose parameters are kept. */
  readonly isBest: boolean
}

/** What a training works with. */
export interface TuningParts {
  readonly batchModel: BatchModel
  /** Makes what is trained, from a seed. */
  readonly begin: (seed: number) => Promise<Trained>
  /** Told whenever parameters have new values, and once at the start. */
  readonly onChange: (trained: Trained) => Promise<void>
  readonly dataset: Dataset
  readonly options: ResolvedTuneOptions
  /** The model's key in the swarm, and its folder or name. */
  readonly modelKey: string
  readonly model: string
}

const CHECKPOINT_STEPS = 50

/** The largest range that `randomInt` accepts. */
const SEEDS = 2 ** 48 - 1

/** A training under way: what is trained, and how far it is. */
export class Running {
  readonly seed: number
  readonly trained: Trained
  readonly trainer: Trainer
  readonly #parts: TuningParts
  readonly #settings: TrainingSettings
  readonly #order: ExampleOrder
  #step = 0
  #position = 0
  #best: BestEvaluation | undefined
  #savedStep = -1

  /**
   * Begins, or goes on from the checkpoint that the options name. Throws `TUNE_CHECKPOINT` and `CHECKPOINT_...` for one
   * that does not fit, and `TUNE_DISK` where none can be written.
   */
  static async begin(parts: TuningParts): Promise<Running> {
    const { dataset, options, modelKey } = parts
    const { evaluation, checkpoint } = options
    const settings = {
      model: modelKey,
      ...settingsOf(options),
      data: dataset.digest,
      evaluation: evaluation?.digest ?? 'none',
    }
    // Told now, not after the steps that would be lost.
    if (checkpoint !== undefined) await onDisk(checkpoint.folder, () => mkdir(checkpoint.folder, { recursive: true }))
    const state = checkpoint && (await loadCheckpoint(checkpoint.folder, settings))
    if (state !== undefined && options.seed !== undefined && options.seed !== state.seed)
      throw new PetalsError(
        'TUNE_CHECKPOINT',
        `${checkpoint!.folder} holds a training with seed ${state.seed}, and ${options.seed} was asked for: ` +
          'give the same, none, or another folder',
      )
    const seed = state?.seed ?? options.seed ?? randomInt(SEEDS)
    const run = new Running(parts, settings, seed, await parts.begin(seed))
    if (state !== undefined) await run.#restore(state)
    await parts.onChange(run.trained)
    return run
  }

  private constructor(parts: TuningParts, settings: TrainingSettings, seed: number, trained: Trained) {
    const { dataset, options } = parts
    this.seed = seed
    this.#parts = parts
    this.#settings = settings
    this.trained = trained
    this.trainer = new Trainer(parts.batchModel, this.trained, options.optimizer)
    this.#order = new ExampleOrder(
      dataset.examples.map(({ ids }) => ids.length),
      { batchSize: options.batchSize, shuffle: options.shuffle, bucket: options.bucket, seed },
    )
  }

  /** How many steps were made, also by those processes before that this one goes on from. */
  get step(): number {
    return this.#step
  }

  /** Makes a step, with the evaluation and the checkpoint that are due after it. */
  async next(): Promise<TuneStep> {
    const { options, onChange } = this.#parts
    const began = performance.now()
    const batches = await this.#batches()
    const { warmupSteps, steps, schedule: name, clipNorm } = options
    const learningRate = options.learningRate * rateFactor({ name, warmupSteps, steps }, this.#step)
    const { loss, gradientNorm } = await this.trainer.step(batches, { learningRate, clipNorm })
    await onChange(this.trained)
    this.#step += 1
    this.#position += options.batchSize * options.accumulate
    const seconds = (performance.now() - began) / 1000
    const evaluation = await this.#evaluate()
    if (this.#step % (options.checkpoint?.every ?? CHECKPOINT_STEPS) === 0) await this.keep()
    const tokens = batches.flat().reduce((sum, { ids }) => sum + ids.length, 0)
    return {
      step: this.#step,
      loss,
      tokens,
      seconds,
      learningRate,
      gradientNorm,
      ...(evaluation !== undefined && { evaluation }),
    }
  }

  /** Writes a checkpoint, if there is to be one and something has changed since the last. */
  async keep(): Promise<void> {
    const { checkpoint } = this.#parts.options
    if (checkpoint === undefined || this.#savedStep === this.#step) return
    await saveCheckpoint(checkpoint.folder, this.#state(), this.#settings)
    this.#savedStep = this.#step
  }

  /** The best evaluation so far. */
  get bestEvaluation(): { readonly step: number; readonly loss: number } | undefined {
    return this.#best && { step: this.#best.step, loss: this.#best.loss }
  }

  /** What was trained, as it was at the best evaluation; where there was none, as it is now. */
  best(): Trained {
    return this.#best === undefined ? this.trained : withValues(this.trained, this.#best.values)
  }

  async #batches(): Promise<Example[][]> {
    const {
      dataset: { examples },
      options: { accumulate, batchSize },
    } = this.#parts
    const batches: Example[][] = []
    for (let i = 0; i < accumulate; i++) {
      const taken = await this.#order.take(this.#position + i * batchSize, batchSize)
      batches.push(taken.map((number) => examples[number]!))
    }
    return batches
  }

  async #evaluate(): Promise<Evaluation | undefined> {
    const { evaluation, evaluateEvery, steps, batchSize, signal } = this.#parts.options
    if (evaluation === undefined || (this.#step % evaluateEvery !== 0 && this.#step !== steps)) return undefined
    const { loss } = await this.trainer.evaluate(evaluation.examples, batchSize, signal)
    const isBest = loss < (this.#best?.loss ?? Infinity)
    if (isBest) this.#best = { step: this.#step, loss, values: await this.#copies() }
    return { loss, isBest }
  }

  #state(): TrainingState {
    return {
      step: this.#step,
      position: this.#position,
      seed: this.seed,
      values: new Map(parametersOf(this.trained).map(({ name, values }) => [name, values])),
      optimizer: this.trainer.optimizer.state,
      best: this.#best,
    }
  }

  async #copies(): Promise<Map<string, Float32Array>> {
    const copies = new Map<string, Float32Array>()
    for (const { name, values } of parametersOf(this.trained)) copies.set(name, await copyOf(values))
    return copies
  }

  async #restore({ step, position, values, optimizer, best }: TrainingState): Promise<void> {
    for (const { name, values: own } of parametersOf(this.trained)) {
      const found = values.get(name)
      if (found?.length !== own.length)
        throw new PetalsError('TUNE_CHECKPOINT', `the checkpoint has no ${name} of ${own.length} values`)
      await setTo(own, found)
    }
    await this.trainer.optimizer.restore(optimizer)
    this.#step = this.#savedStep = step
    this.#position = position
    this.#best = best
  }
}
