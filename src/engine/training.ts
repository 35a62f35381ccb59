import { PetalsError } from '../base/errors.ts'
import type { TrainingTarget } from '../families/graphs/training-graphs.ts'
import type { Pointer } from '../runtime/library.ts'
import type { LoadOptions } from './loading/load.ts'
import { type PreparedTraining, prepareTraining, releaseTraining } from './loading/prepare-training.ts'
import { type TrainingPlan, canTrain, planTraining } from './plan/plan-training.ts'
import type { PassDivision, PassSize } from './plan/training-sizes.ts'

/** Of a span that is loaded. */
export interface TrainingOptions extends Pick<
  LoadOptions,
  'checkpoint' | 'start' | 'end' | 'dtype' | 'quant' | 'device' | 'quantCache'
> {
  /** What training may take of memory; 0: there is none. */
  readonly trainingBytes: number
  /** What a run has at most, unless one sequence is longer. */
  readonly pieceTokens: number
  readonly environment: Pointer
}

/** What a span has for backward passes: memory, and sessions, which are built when first needed. */
export class Training {
  readonly #options: TrainingOptions
  readonly #plan: TrainingPlan | undefined
  /** With and without an adapter's matrices. */
  readonly #prepared = new Map<boolean, Promise<PreparedTraining>>()
  #isClosed = false

  /** Throws `FamilyError` and `GRAPH_UNSUPPORTED`. */
  constructor(options: TrainingOptions) {
    this.#options = options
    const { checkpoint, start, end, trainingBytes: bytes, pieceTokens } = options
    const target = targetOf(options)
    if (bytes > 0 && canTrain(target))
      this.#plan = planTraining(checkpoint.config, target, { start, end, bytes, pieceTokens })
  }

  /** The most tokens of a sequence; 0: no backward passes are computed. */
  get maxTokens(): number {
    return this.#plan?.maxTokens ?? 0
  }

  get pinnedBytes(): number {
    return this.#plan?.pinnedBytes ?? 0
  }

  /**
   * How a pass is cut up. Throws `TRAINING_OFF`, and `TRAINING_MEMORY` for sequences that are too long, naming how long
   * they may be.
   */
  divide(size: PassSize): PassDivision {
    if (this.#plan === undefined || this.maxTokens === 0) throw this.#off()
    const { sizes, activationBytes } = this.#plan
    const division = size.tokens > this.maxTokens ? undefined : sizes.divide(size, activationBytes)
    if (division !== undefined) return division
    throw new PetalsError(
      'TRAINING_MEMORY',
      `a backward pass over sequences of ${size.tokens} tokens does not fit into the memory for training: here they ` +
        `may have ${this.maxTokens}; serve with more --training-memory`,
    )
  }

  /**
   * The sessions; `onFirst` is given them once, before anybody else gets them. Throws `ENGINE_CLOSED` and as
   * `prepareTraining`.
   */
  async prepare(adapters: boolean, onFirst: (prepared: PreparedTraining) => void): Promise<void> {
    if (this.#isClosed) throw closed()
    const preparing = this.#prepared.get(adapters) ?? this.#prepare(adapters, onFirst)
    this.#prepared.set(adapters, preparing)
    try {
      await preparing
    } catch (error) {
      if (this.#prepared.get(adapters) === preparing) this.#prepared.delete(adapters)
      throw error
    }
  }

  /** Gives the sessions back, of a span that runs nothing any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    const prepared = await Promise.allSettled(this.#prepared.values())
    for (const each of prepared) if (each.status === 'fulfilled') releaseTraining(each.value)
  }

  async #prepare(adapters: boolean, onFirst: (prepared: PreparedTraining) => void): Promise<PreparedTraining> {
    const { checkpoint, start, end, environment, device, dtype, quant, quantCache } = this.#options
    const target = { ...targetOf(this.#options), adapters }
    const where = { checkpoint, start, end, device, dtype, quant, quantCache }
    const prepared = await prepareTraining({ ...where, environment, target })
    try {
      if (this.#isClosed) throw closed()
      onFirst(prepared)
    } catch (error) {
      releaseTraining(prepared)
      throw error
    }
    return prepared
  }

  #off(): PetalsError {
    const { device, trainingBytes } = this.#options
    const why =
      device.kind !== 'cpu'
        ? 'gradients are computed on a CPU only'
        : trainingBytes > 0
          ? 'its --training-memory has no room for any sequence'
          : 'it was started with --training-memory 0, or has little memory'
    return new PetalsError('TRAINING_OFF', `this server computes no backward passes: ${why}`)
  }
}

function targetOf({ device, dtype, quant }: TrainingOptions): TrainingTarget {
  return { device: device.kind, dtype, quant }
}

function closed(): PetalsError {
  return new PetalsError('ENGINE_CLOSED', 'the engine was closed')
}
