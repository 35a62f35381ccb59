import type { ModelEnds } from '../../engine/ends/ends.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import type { InferenceSession, StepOptions } from '../session/inference-session.ts'

/**
 * A session over all blocks of a model; takes token ids or hidden states. Close it, or declare it with `await using`.
 */
export abstract class ModelSession implements AsyncDisposable {
  /** The session on the servers. */
  readonly blocks: InferenceSession
  readonly #embed: (ids: readonly number[]) => Promise<Tensor>

  constructor(ends: ModelEnds, blocks: InferenceSession) {
    this.#embed = (ids) => ends.embed(ids)
    this.blocks = blocks
  }

  /**
   * Number of tokens in the caches. Set it to a smaller number to cut the session back. Throws `SESSION_POSITION` or
   * `SESSION_BUSY`.
   */
  get position(): number {
    return this.blocks.position
  }

  set position(position: number) {
    this.blocks.position = position
  }

  /**
   * Feeds token ids, or hidden states float32 [tokens, hidden]; returns the last block's output, before the last norm,
   * float32 [tokens, hidden], or its last `rows` rows. Throws as `InferenceSession.step`, and `TOKEN_ID`.
   */
  async step(input: readonly number[] | Tensor, options?: Pick<StepOptions, 'rows'>): Promise<Tensor> {
    if ('shape' in input) return this.blocks.step(input, options)
    return this.blocks.step(await this.#embed(input), { ...options, from: { ids: input, embed: this.#embed } })
  }

  /** Frees the caches. */
  close(): Promise<void> {
    return this.blocks.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** A session of a model without a head. */
export class HiddenStatesSession extends ModelSession {
  readonly #ends: ModelEnds

  constructor(ends: ModelEnds, blocks: InferenceSession) {
    super(ends, blocks)
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
