import { PetalsError } from '../../base/errors.ts'
import { BatchLosses, type BatchModel, weightOf } from './batch-loss.ts'
import type { Example } from './data/dataset.ts'
import { type Trained, parametersOf } from './methods/trained.ts'
import { clipGradients } from './optimizers/clip.ts'
import { Optimizer, type OptimizerOptions } from './optimizers/optimizer.ts'
import { zeroGradients } from './parameter.ts'
import { Tape } from './tape/tape.ts'

/** What one step of the optimizer came from. */
export interface StepResult {
  /** The mean loss, in nats per token, or per sequence of a classifier. */
  readonly loss: number
  /** Of all gradients as one vector, before it was clipped. */
  readonly gradientNorm: number
}

/** A mean loss over examples. */
export interface MeanLoss {
  readonly loss: number
  /** What the mean was taken over: tokens by their weights, or sequences. */
  readonly weight: number
}

/** Makes optimizer steps out of examples. */
export class Trainer {
  readonly optimizer: Optimizer
  readonly #losses: BatchLosses
  readonly #trained: Trained

  /** Throws `USAGE` for options that cannot be. */
  constructor(model: BatchModel, trained: Trained, options: OptimizerOptions | undefined) {
    this.#losses = new BatchLosses(model, trained)
    this.#trained = trained
    this.optimizer = new Optimizer(parametersOf(trained), options)
  }

  /**
   * One step from the gradients of all batches together: each token, or sequence, counts the same, in whichever batch
   * it is. Throws `TUNE_DIVERGED` where these are not finite, and what computing them throws; nothing is changed then.
   */
  async step(
    batches: readonly (readonly Example[])[],
    { learningRate, clipNorm }: { readonly learningRate: number; readonly clipNorm: number },
  ): Promise<StepResult> {
    const parameters = parametersOf(this.#trained)
    const weight = batches.reduce((sum, batch) => sum + weightOf(batch, this.#trained), 0)
    await zeroGradients(parameters)
    let loss = 0
    for (const batch of batches) {
      using tape = new Tape()
      const { sum } = await this.#losses.of(tape, batch)
      loss += sum.values[0]! / weight
      await tape.backward(sum, 1 / weight)
    }
    const gradientNorm = await clipGradients(parameters, clipNorm)
    if (!Number.isFinite(gradientNorm) || !Number.isFinite(loss))
      throw new PetalsError(
        'TUNE_DIVERGED',
        `the loss is ${loss} and its gradient's norm ${gradientNorm}: try a smaller learningRate, or a clipNorm`,
      )
    await this.optimizer.step(learningRate)
    return { loss, gradientNorm }
  }

  /**
   * The mean loss over examples, which are computed in batches of similar lengths. Throws what computing it throws, or
   * the signal's reason.
   */
  async evaluate(examples: readonly Example[], batchSize: number, signal?: AbortSignal): Promise<MeanLoss> {
    const sorted = examples.toSorted((a, b) => b.ids.length - a.ids.length)
    let [sum, weight] = [0, 0]
    for (let at = 0; at < sorted.length; at += batchSize) {
      signal?.throwIfAborted()
      using tape = new Tape({ records: false })
      const batch = await this.#losses.of(tape, sorted.slice(at, at + batchSize), signal)
      sum += batch.sum.values[0]!
      weight += batch.weight
    }
    return { loss: sum / weight, weight }
  }
}
