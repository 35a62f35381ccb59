import { EventEmitter } from 'node:events'
import { PetalsError, UsageError } from '../../base/errors.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import type { Tokenizer } from '../../checkpoint/tokenizer/tokenizer.ts'
import type { ModelEnds } from '../../engine/ends/ends.ts'
import type { EndsOutput } from '../../engine/loading/ends-output.ts'
import { type Tensor, asFloat32, fromFloat32 } from '../../tensor/tensor.ts'
import { type PretrainedParts, openPretrained } from './pretrained.ts'
import type { PretrainedOptions } from './pretrained-options.ts'
import type { ActiveAdapter } from '../remote/adapters/active-adapter.ts'
import { type ForwardOptions, RemoteSequential } from '../blocks/remote-sequential.ts'
import type { RouteHop } from '../session/server/route-hop.ts'
import type { InferenceSession, Recovery, Waiting } from '../session/inference-session.ts'
import type { SessionOptions } from '../session/open.ts'
import type { SwarmClient } from '../blocks/swarm-client.ts'
import type { TunedHead } from '../tuned/tuned-head.ts'
import { type TunedPrompts, checkTunedPrompts, withPrompts, withoutPrompts } from '../tuned/tuned-prompts.ts'

/** A text, which needs a tokenizer, or token ids. */
export type Prompt = string | readonly number[]

/** Sequences of equal length: token ids, or hidden states [batch, tokens, hidden]. */
export type BatchInput = readonly (readonly number[])[] | Tensor

/** How a model's session is opened. `prompts` may be tuned ones, or deep prompts alone. */
export interface ModelSessionOptions extends Omit<SessionOptions, 'prompts'> {
  readonly prompts?: Tensor | TunedPrompts | undefined
}

/** A class of distributed models, as `fromPretrained` uses it. */
export interface ModelClass<T> {
  new (parts: PretrainedParts): T
  readonly name: string
  readonly output: EndsOutput
  readonly modelType?: string | undefined
}

/** The events of a model's sessions. */
export interface ModelEvents {
  /** A session's chain of servers is complete: at first, and after each repair. */
  route: [readonly RouteHop[]]
  /** A session was repaired. */
  recovery: [Recovery]
  /** A session waits for servers. */
  waiting: [Waiting]
}

/**
 * A model whose blocks are computed by a swarm. Embedding, last norm and head are computed here; only their tensors are
 * loaded. Close it, or declare it with `await using`.
 */
export abstract class DistributedModel extends EventEmitter<ModelEvents> implements AsyncDisposable {
  readonly checkpoint: Checkpoint
  /** All blocks: can be sliced, iterated, and run by themselves. */
  readonly layers: RemoteSequential
  readonly swarm: SwarmClient
  readonly ends: ModelEnds
  readonly tokenizer: Tokenizer | undefined
  /** The tuned prompts of what brings no others. */
  readonly prompts: TunedPrompts | undefined
  /** What stands in place of the checkpoint's head. */
  readonly head: TunedHead | undefined
  /** The adapter of what names no other. */
  readonly activeAdapter: ActiveAdapter | undefined

  /** The only `model_type` that this class accepts; undefined: any. */
  static readonly modelType: string | undefined = undefined

  /**
   * Loads embedding, last norm and head of the checkpoint `model` and joins its swarm. Throws `CHECKPOINT_...` and
   * `FAMILY_...` for problems of the checkpoint, `SWARM_UNREACHABLE` if no bootstrap peer answers, and `USAGE` if none
   * is named; leaves nothing open then.
   */
  static async fromPretrained<T extends DistributedModel>(
    this: ModelClass<T>,
    model: string,
    options: PretrainedOptions,
  ): Promise<T> {
    return new this(await openPretrained(model, options, this))
  }

  /** Called by `fromPretrained`. */
  constructor({ checkpoint, swarm, ends, tokenizer, prompts, head, ...options }: PretrainedParts) {
    super()
    this.checkpoint = checkpoint
    this.swarm = swarm
    this.ends = ends
    this.tokenizer = tokenizer
    this.prompts = prompts
    this.head = head
    this.activeAdapter = options.activeAdapter
    const watch = (session: InferenceSession): void => {
      session.on('route', (hops) => this.emit('route', hops))
      session.on('recovery', (recovery) => this.emit('recovery', recovery))
      session.on('waiting', (waiting) => this.emit('waiting', waiting))
      session.on('fork', watch)
    }
    this.layers = new RemoteSequential(swarm, checkpoint.config, { ...options, onSession: watch })
  }

  /**
   * Computes the whole model on whole sequences, without a session: float32 [batch, tokens, outputs], where outputs are
   * logits, or hidden states after the last norm. Throws `TENSOR_SHAPE`, `TOKEN_ID`, `NO_ROUTE`, or the error of the
   * last server that was tried.
   */
  async forward(input: BatchInput): Promise<Tensor> {
    const hidden = await this.#allBlocks('shape' in input ? input : await this.embed(input))
    const [batch = 0, tokens = 0] = hidden.shape
    return fromFloat32(await this.ends.head(asFloat32(hidden).slice()), [batch, tokens, this.ends.outputSize])
  }

  /**
   * Computes the blocks and the last norm on whole sequences: float32 [batch, tokens, hidden], transformers'
   * `last_hidden_state`. Throws as `forward`.
   */
  async hiddenStates(
    input: BatchInput,
    options: Pick<ForwardOptions, 'activeAdapter' | 'signal'> = {},
  ): Promise<Tensor> {
    const hidden = await this.#allBlocks('shape' in input ? input : await this.embed(input), options)
    return fromFloat32(await this.ends.norm(asFloat32(hidden).slice()), hidden.shape)
  }

  /** The last block's output, with the model's tuned prompts before each sequence and without them again. */
  async #allBlocks(hidden: Tensor, options: Pick<ForwardOptions, 'activeAdapter' | 'signal'> = {}): Promise<Tensor> {
    const { prompts } = this
    if (prompts === undefined || hidden.shape.length !== 3 || hidden.dtype !== 'float32')
      return this.layers.forward(hidden, options)
    const output = await this.layers.forward(withPrompts(prompts.before, hidden), { ...options, prompts: prompts.deep })
    return withoutPrompts(prompts.before.shape[0]!, output)
  }

  /**
   * A session over all blocks with the tuned prompts that `options` or else the model has, and what comes before its
   * first token.
   */
  protected openBlocks({ prompts = this.prompts, ...options }: ModelSessionOptions): {
    readonly blocks: InferenceSession
    readonly before: Tensor | undefined
  } {
    if (prompts === undefined || 'shape' in prompts)
      return { blocks: this.layers.inferenceSession({ ...options, prompts }), before: undefined }
    checkTunedPrompts(prompts, this.checkpoint.config, this.swarm.modelKey)
    const { before, deep } = prompts
    const maxLength = options.maxLength + before.shape[0]!
    return { blocks: this.layers.inferenceSession({ ...options, maxLength, prompts: deep }), before }
  }

  /** Embeds sequences of equal length: float32 [batch, tokens, hidden]. Throws `TENSOR_SHAPE` or `TOKEN_ID`. */
  async embed(batch: readonly (readonly number[])[]): Promise<Tensor> {
    const tokens = batch[0]?.length ?? 0
    if (tokens === 0 || batch.some((ids) => ids.length !== tokens)) {
      throw new PetalsError(
        'TENSOR_SHAPE',
        `sequences of ${batch.map(({ length }) => length).join(', ')} tokens: expected at least one, ` +
          'all of one length and not empty',
      )
    }
    const { data } = await this.ends.embed(batch.flat())
    return { dtype: 'float32', shape: [batch.length, tokens, this.ends.hiddenSize], data }
  }

  /** A prompt's token ids. Throws `USAGE` for a text if the checkpoint has no tokenizer. */
  async encode(prompt: Prompt): Promise<number[]> {
    if (typeof prompt !== 'string') return [...prompt]
    if (this.tokenizer === undefined) {
      throw new UsageError(`${this.checkpoint.folder} has no tokenizer.json: give the prompt as token ids`)
    }
    return this.tokenizer.encode(prompt)
  }

  /** Leaves the swarm and frees the memory. Close sessions first. A node given by the caller is not stopped. */
  async close(): Promise<void> {
    await Promise.all([this.swarm.close(), this.ends.close(), this.tokenizer?.close()])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
