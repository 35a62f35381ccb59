import { UsageError } from '../../base/errors.ts'
import { type Tensor, asFloat32 } from '../../tensor/tensor.ts'
import type { PlaceLogprobs } from '../../sampling/token-logprobs.ts'
import { beamSearch } from '../generation/beams/beam-search.ts'
import { generateContinuations } from '../generation/continuations.ts'
import { PrefilledSource } from '../generation/choosing/prefilled-source.ts'
import { type BeforeHead, headFor } from '../generation/choosing/token-source.ts'
import { FedIds } from '../generation/fed-ids.ts'
import type { ForkableSource } from '../generation/beams/forkable.ts'
import { generate } from '../generation/generate.ts'
import type { GenerationChunk, GenerationResult } from '../generation/result.ts'
import type { TextStream } from '../generation/text/text-output.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import { resolveOptions, resolveStreamOptions } from '../generation/resolve.ts'
import { prepareConstraint } from './prepare-constraint.ts'
import type { DistributedModel } from './distributed-model.ts'
import { ModelSession } from './model-session.ts'
import type { InferenceSession } from '../session/inference-session.ts'
import type { StepOptions } from '../session/step-options.ts'
import type { ForkOptions } from '../session/repair/fork.ts'

/** The part of a model that its sessions use. */
export type SessionModel = Pick<DistributedModel, 'ends' | 'checkpoint' | 'tokenizer'>

/** What is told of a prompt besides its effect. */
export interface ReadOptions {
  /** How many of the likeliest tokens are told at each place; undefined: no log-probabilities at all. */
  readonly topLogprobs?: number | undefined
}

/** A prompt that a session was fed. */
export interface FedPrompt {
  /** The tokens that were held before it. */
  readonly heldIds: readonly number[]
  readonly ids: readonly number[]
  /** The last block's output [hidden] at its last token. */
  readonly state: Float32Array
  /** Of all tokens but the first, if they were asked for. */
  readonly logprobs: readonly PlaceLogprobs[]
}

/** Tokens whose outputs are held at a time while a prompt's log-probabilities are found. */
const READ_TOKENS = 1024

/** A session of a causal language model: takes token ids or hidden states; gives hidden states, logits or text. */
export class CausalLMSession extends ModelSession implements ForkableSource {
  readonly #model: SessionModel
  readonly #fed = new FedIds()
  /** The way to the model's head, which chooses tokens on its own thread. */
  readonly beforeHead: BeforeHead

  constructor(model: SessionModel, blocks: InferenceSession, before?: Tensor) {
    super(model.ends, blocks, before)
    this.#model = model
    this.beforeHead = { head: model.ends, feed: (ids, signal) => this.feed(ids, signal) }
  }

  /** The ids of the tokens in the caches; undefined if hidden states were fed. Penalties count them, too. */
  get heldIds(): readonly number[] | undefined {
    return this.#fed.upTo(this.position)
  }

  override async step(input: readonly number[] | Tensor, options?: StepOptions): Promise<Tensor> {
    const { position } = this
    try {
      return await super.step(input, options)
    } finally {
      // Of a step that its signal has ended, some tokens may be held.
      const numHeld = Math.max(0, this.position - position)
      this.#fed.record(position, 'shape' in input ? undefined : input.slice(0, numHeld))
    }
  }

  /** Feeds token ids; returns the logits [vocab] after the last one. Throws as `step`. */
  async next(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    return this.#model.ends.head(await this.feed(ids, signal))
  }

  /** Feeds token ids; returns the last block's output [hidden] at the last one. Throws as `step`. */
  async feed(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    return asFloat32(await this.step(ids, { rows: 1, signal })).slice()
  }

  /**
   * Feeds a prompt after what the session holds, and generates: yields a chunk per token and returns the result.
   * Options that are absent take the model's defaults. Throws `USAGE` for invalid options, `LOGITS_NAN`, and as `step`.
   */
  async *generate(
    promptIds: readonly number[],
    options: GenerationOptions = {},
  ): AsyncGenerator<GenerationChunk, GenerationResult> {
    const resolved = resolveStreamOptions(options, this.#model.checkpoint, this.position + promptIds.length)
    await prepareConstraint(this.#model, resolved)
    return yield* generate(this, promptIds, resolved, this.#newText(resolved))
  }

  /**
   * Feeds a prompt, after what the session holds, of which texts are generated then: with `generateAfter`, here or in
   * forks. With `topLogprobs` it also tells how likely each of its tokens was, and so many likeliest in its place; of
   * all but the first, which follows nothing that is fed here. Throws as `step`, `USAGE` and `LOGITS_NAN`.
   */
  async read(promptIds: readonly number[], { topLogprobs }: ReadOptions = {}): Promise<FedPrompt> {
    if (promptIds.length === 0) throw new UsageError('the prompt has no tokens: give at least one, e.g. the BOS')
    const heldIds = this.heldIds ?? []
    if (topLogprobs === undefined) return { heldIds, ids: promptIds, state: await this.feed(promptIds), logprobs: [] }
    const { ends } = this.#model
    const logprobs: PlaceLogprobs[] = []
    let state = new Float32Array(0)
    for (let from = 0; from < promptIds.length; from += READ_TOKENS) {
      const ids = promptIds.slice(from, from + READ_TOKENS)
      const rows = asFloat32(await this.step(ids))
      const targets = promptIds.slice(from + 1, from + ids.length + 1)
      for (const place of await ends.scores(rows, targets, topLogprobs)) logprobs.push(place)
      state = rows.slice(-ends.hiddenSize)
    }
    return { heldIds, ids: promptIds, state, logprobs }
  }

  /**
   * Generates a text after a prompt that was fed to this session, or to the one that it is a fork of, and to which
   * nothing was fed since. Yields, returns and throws as `generate`.
   */
  async *generateAfter(
    { heldIds, ids, state }: FedPrompt,
    options: GenerationOptions = {},
  ): AsyncGenerator<GenerationChunk, GenerationResult> {
    const resolved = resolveStreamOptions(options, this.#model.checkpoint, heldIds.length + ids.length)
    await prepareConstraint(this.#model, resolved)
    const chosenHere = headFor(this, resolved) === undefined
    const first = chosenHere ? await this.#model.ends.head(state) : state
    return yield* generate(new PrefilledSource(this, heldIds, first), ids, resolved, this.#newText(resolved))
  }

  /**
   * Feeds a prompt once, after what the session holds, and generates all of its texts at the same time in forks of this
   * session: the best of `numBeams` beams, or `numReturnSequences` draws. Afterwards the session holds the prompt
   * (after a beam search) or one of the texts. Throws as `generate`.
   */
  async generateTexts(promptIds: readonly number[], options: GenerationOptions = {}): Promise<GenerationResult[]> {
    const { checkpoint, tokenizer } = this.#model
    const resolved = resolveOptions(options, checkpoint, this.position + promptIds.length)
    await prepareConstraint(this.#model, resolved)
    if ((resolved.numBeams ?? 1) === 1)
      return generateContinuations(this, promptIds, resolved, () => this.#newText(resolved))
    return beamSearch(
      this,
      promptIds,
      resolved,
      tokenizer &&
        (async (ids) => {
          const text = tokenizer.tokenStream({ skipSpecialTokens: resolved.skipSpecialTokens ?? true })
          return (await text.push(ids)) + (await text.flush())
        }),
    )
  }

  /**
   * A new session that holds the first `position` tokens of this one, on the same servers if they have room. Throws as
   * `forkFrom`.
   */
  async fork(position = this.position): Promise<CausalLMSession> {
    const ids = this.#fed.upTo(position)
    const fork = new CausalLMSession(this.#model, await this.blocks.fork(this.blockPosition(position)), this.before)
    fork.#fed.record(0, ids)
    return fork
  }

  /**
   * Replaces this session's contents by the first `position` tokens of `source`; servers copy their caches. Throws as
   * `InferenceSession.forkFrom`.
   */
  async forkFrom(source: CausalLMSession, position = source.position, options?: ForkOptions): Promise<void> {
    const ids = source.#fed.upTo(position)
    await this.blocks.forkFrom(source.blocks, source.blockPosition(position), options)
    this.#fed.record(0, ids)
  }

  #newText({ skipSpecialTokens = true }: GenerationOptions): TextStream | undefined {
    return this.#model.tokenizer?.tokenStream({ skipSpecialTokens })
  }
}
