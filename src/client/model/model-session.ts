import { PetalsError } from '../../base/errors.ts'
import type { ModelEnds } from '../../engine/ends/ends.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import type { InferenceSession } from '../session/inference-session.ts'
import type { StepOptions } from '../session/step-options.ts'
import { withPrompts } from '../tuned/tuned-prompts.ts'

/**
 * A session over all blocks of a model; takes token ids or hidden states. Close it, or declare it with `await using`.
 */
export abstract class ModelSession implements AsyncDisposable {
  /** The session on the servers. */
  readonly blocks: InferenceSession
  /** What is put before the session's first token: tuned prompts [positions, hidden]. */
  protected readonly before: Tensor | undefined
  readonly #embed: (ids: readonly number[]) => Promise<Tensor>

  constructor(ends: ModelEnds, blocks: InferenceSession, before?: Tensor) {
    this.#embed = (ids) => ends.embed(ids)
    this.blocks = blocks
    this.before = before
  }

  /**
   * Number of tokens in the caches, tuned prompts not counted. Set it to a smaller number to cut the session back.
   * Throws `SESSION_POSITION` or `SESSION_BUSY`.
   */
  get position(): number {
    return Math.max(0, this.blocks.position - this.#numBefore)
  }

  set position(position: number) {
    this.blocks.position = this.blockPosition(position)
  }

  /** The place, in the caches of the blocks, of the session's token `position`. */
  protected blockPosition(position: number): number {
    // Before the first step there is nothing, not even prompts.
    return position === 0 && this.blocks.position === 0 ? 0 : position + this.#numBefore
  }

  get #numBefore(): number {
    return this.before?.shape[0] ?? 0
  }

  /**
   * Feeds token ids, or hidden states float32 [tokens, hidden]; returns the last block's output, before the last norm,
   * float32 [tokens, hidden], or its last `rows` rows. Throws as `InferenceSession.step`, and `TOKEN_ID`.
   */
  async step(input: readonly number[] | Tensor, options?: Pick<StepOptions, 'rows' | 'signal'>): Promise<Tensor> {
    const from = 'shape' in input ? undefined : { ids: input, embed: this.#embed }
    const hidden = 'shape' in input ? input : await this.#embed(input)
    if (this.before === undefined || this.blocks.position > 0) return this.blocks.step(hidden, { ...options, from })
    checkWidth(hidden, this.before)
    const rows = options?.rows ?? hidden.shape[0]!
    return this.blocks.step(withPrompts(this.before, hidden), { ...options, rows, from })
  }

  /** Frees the caches. */
  close(): Promise<void> {
    return this.blocks.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Throws `TENSOR_SHAPE` for hidden states that prompts cannot stand before. */
function checkWidth({ dtype, shape }: Tensor, before: Tensor): void {
  if (dtype === 'float32' && shape.length === 2 && shape[1] === before.shape[1] && shape[0]! > 0) return
  throw new PetalsError(
    'TENSOR_SHAPE',
    `hidden states ${dtype} [${shape}]: expected float32 [tokens, ${before.shape[1]}]`,
  )
}

/** A session of a model without a head. */
export class HiddenStatesSession extends ModelSession {
  readonly #ends: ModelEnds

  constructor(ends: ModelEnds, blocks: InferenceSession, before?: Tensor) {
    super(ends, blocks, before)
    this.#ends = ends
  }

  /**
   * Feeds token ids, or hidden states float32 [tokens, hidden]; returns the model's output after the last norm, float32
   * [tokens, hidden], or its last `rows` rows.
   */
  override async step(input: readonly number[] | Tensor, options?: StepOptions): Promise<Tensor> {
    const hidden = await super.step(input, options)
    return fromFloat32(await this.#ends.head(asFloat32(hidden).slice()), hidden.shape)
  }
}
