import { EventEmitter } from 'node:events'
import { PetalsError } from '../../base/errors.ts'
import { attachEnvironment } from '../../runtime/environment.ts'
import type { ChosenBeams, ChosenText, ChoosingHead } from '../../sampling/choosing-head.ts'
import type { Vocabulary } from '../../sampling/grammar/tokens/vocabulary.ts'
import type { ResolvedOptions } from '../../sampling/options/options.ts'
import type { PlaceLogprobs } from '../../sampling/token-logprobs.ts'
import { type Tensor, fromFloat32 } from '../../tensor/tensor.ts'
import { choosingSeconds } from './choosing-seconds.ts'
import { CpuEndsRunner, type EndsRunner } from './ends-runner.ts'
import { EndsThread } from './ends-thread.ts'
import { beamsHere, beamsInThread, textHere, textInThread } from './head-texts.ts'
import type { HeadWeights } from './head-weights.ts'
import type { LossOptions, RowLosses } from './row-losses.ts'
import type { EndsOptions } from './messages.ts'

/** A few rows of a table: copying them takes less time than asking the thread. */
const INLINE_EMBED_TOKENS = 32

/** What is quicker than this does not hold up the caller's thread; heads that come together share a run. */
const INLINE_SECONDS = 0.001
const BURST_MS = 1

/** How much is scored at a time, while others wait for their tokens: so many logits, or else so many rows. */
const SCORED_LOGITS = 1 << 20
const MIN_SCORED_ROWS = 16

/**
 * Both ends of a model, which a client computes itself: token ids to the first block's input, and the last block's
 * output to logits, or to tokens. Only the embedding, the last norm and the head are loaded, in a thread of their own,
 * where tokens are chosen as well; without the head the second end is the last norm alone. Event `run`: seconds of
 * computation.
 */
export class ModelEnds extends EventEmitter<{ run: [number] }> implements ChoosingHead {
  readonly hiddenSize: number
  readonly vocabSize: number
  /** Width of what `head` gives. */
  readonly outputSize: number
  readonly #thread: EndsThread
  /** For this thread, where that is sensible at all. */
  #runner: EndsRunner | undefined
  #headSeconds = Infinity
  /** Open texts whose tokens are chosen on the caller's thread. */
  #textsHere = 0
  #lastHeadAt = -Infinity
  #hasVocabulary = false

  static async load(options: EndsOptions): Promise<ModelEnds> {
    const ends = new ModelEnds(options)
    await ends.#load()
    return ends
  }

  private constructor(options: EndsOptions) {
    super()
    this.hiddenSize = options.checkpoint.config.hiddenSize
    this.vocabSize = options.checkpoint.config.vocabSize
    this.outputSize = options.output === 'hidden' ? this.hiddenSize : this.vocabSize
    this.#thread = new EndsThread(options, ({ seconds, headSeconds }) => {
      if (headSeconds !== undefined) this.#headSeconds = headSeconds
      this.emit('run', seconds)
    })
  }

  async #load(): Promise<void> {
    const { environment, ends, headSeconds } = await this.#thread.ready
    this.#headSeconds = headSeconds
    if (ends !== undefined) this.#runner = new CpuEndsRunner(attachEnvironment(environment), ends)
  }

  /** Hidden states [tokens, hidden] of token ids. Throws `TOKEN_ID` for an id outside of the vocabulary. */
  async embed(ids: readonly number[]): Promise<Tensor> {
    this.#checkIds(ids)
    const rows = BigInt64Array.from(ids, BigInt)
    const runner = ids.length <= INLINE_EMBED_TOKENS ? this.#runner : undefined
    const values =
      runner === undefined
        ? ((await this.#thread.request({ type: 'embed', ids: rows })) as Float32Array)
        : this.#here(() => runner.embed(rows))
    return fromFloat32(values, [ids.length, this.hiddenSize])
  }

  /** Logits [tokens, vocab] of hidden states [tokens, hidden] (float32); without a head these after the last norm. */
  async head(hidden: Float32Array): Promise<Float32Array> {
    const alone = this.#thread.numPending === 0 && performance.now() - this.#lastHeadAt > BURST_MS
    const runner = this.#runner
    try {
      if (alone && runner !== undefined && hidden.length === this.hiddenSize && this.#headSeconds < INLINE_SECONDS)
        return this.#here(() => runner.head(hidden))
    } finally {
      // From its end on: one after another in the same turn are a burst however long each takes.
      this.#lastHeadAt = performance.now()
    }
    return (await this.#thread.request({ type: 'head', hidden })) as Float32Array
  }

  /**
   * The cross entropy, in nats, of the id that follows each position: `hidden` [rows, hidden] is the last block's
   * output there. With `gradient` also that of the sum of weights * losses with respect to `hidden`, and with `head`
   * that of a head in place of the model's own. No logits are kept. Throws `TENSOR_SHAPE` and `TOKEN_ID`.
   */
  async loss(
    hidden: Float32Array,
    targets: Int32Array,
    weights: Float32Array,
    options: LossOptions,
  ): Promise<RowLosses> {
    const rows = targets.length
    if (hidden.length !== rows * this.hiddenSize || weights.length !== rows)
      throw new PetalsError(
        'TENSOR_SHAPE',
        `${hidden.length} hidden values and ${weights.length} weights for ${rows} targets: ` +
          `expected ${this.hiddenSize} and 1 for each`,
      )
    this.#checkIds(targets)
    return (await this.#thread.request({ type: 'loss', hidden, targets, weights, options })) as RowLosses
  }

  /** A copy of the head's parameters, in float32. Throws `CheckpointError`. */
  async headWeights(): Promise<HeadWeights> {
    return (await this.#thread.request({ type: 'head-weights' })) as HeadWeights
  }

  /**
   * How likely each of `targets` [rows] is behind `hidden` [rows, hidden], the last block's output there, and the
   * `numTop` likeliest tokens in its place. The thread does other things between pieces of them. Throws `LOGITS_NAN`
   * and `TOKEN_ID`.
   */
  async scores(hidden: Float32Array, targets: readonly number[], numTop: number): Promise<PlaceLogprobs[]> {
    this.#checkIds(targets)
    const rows = Math.max(MIN_SCORED_ROWS, Math.floor(SCORED_LOGITS / this.vocabSize))
    const found: PlaceLogprobs[] = []
    for (let from = 0; from < targets.length; from += rows) {
      const until = Math.min(targets.length, from + rows)
      const scored = (await this.#thread.request({
        type: 'score',
        hidden: hidden.slice(from * this.hiddenSize, until * this.hiddenSize),
        targets: targets.slice(from, until),
        numTop,
      })) as PlaceLogprobs[]
      for (const place of scored) found.push(place)
    }
    return found
  }

  /** The last norm alone: `hidden` [rows, hidden], the last block's output, becomes the model's last hidden states. */
  async norm(hidden: Float32Array): Promise<Float32Array> {
    return (await this.#thread.request({ type: 'norm', hidden })) as Float32Array
  }

  /**
   * The way back through the last norm: from the gradient with respect to its output, that with respect to its input
   * `hidden`; [rows, hidden] both.
   */
  async normGradient(hidden: Float32Array, gradient: Float32Array): Promise<Float32Array> {
    return (await this.#thread.request({ type: 'norm-gradient', hidden, gradient })) as Float32Array
  }

  /**
   * The way back through what the model does with the rows of its embedding's table (a norm, a factor): from the
   * gradient with respect to the first block's input of `ids`, that with respect to the rows; [tokens, hidden] both.
   */
  async embeddingGradient(ids: readonly number[], gradient: Float32Array): Promise<Float32Array> {
    this.#checkIds(ids)
    const rows = BigInt64Array.from(ids, BigInt)
    return (await this.#thread.request({ type: 'embedding-gradient', ids: rows, gradient })) as Float32Array
  }

  /** Whether it has been told the bytes of the model's tokens. */
  get hasVocabulary(): boolean {
    return this.#hasVocabulary
  }

  /**
   * Tells the bytes of the model's tokens, which texts with a constraint need. `isEarly`: nobody waits yet, so that the
   * thread may take some tenths of a second to prepare for usual constraints.
   */
  useVocabulary(vocabulary: Vocabulary, { isEarly = false } = {}): void {
    this.#hasVocabulary = true
    this.#thread.tell({ type: 'vocabulary', vocabulary, isEarly })
  }

  openText(options: ResolvedOptions, ids: readonly number[]): ChosenText {
    // The steps of texts that are written at the same time come together.
    if (!this.#isQuick(options, this.#textsHere + 1)) return textInThread(this.#thread, options, ids)
    this.#textsHere += 1
    const text = textHere(this, options, ids)
    let isOpen = true
    return {
      choose: (hidden) => text.choose(hidden),
      close: () => {
        if (isOpen) this.#textsHere -= 1
        isOpen = false
      },
    }
  }

  openBeams(options: ResolvedOptions, ids: readonly number[]): ChosenBeams {
    return this.#isQuick(options) ? beamsHere(this, options, ids) : beamsInThread(this.#thread, options, ids)
  }

  async close(): Promise<void> {
    await this.#thread.close()
    this.#runner?.close()
    this.#runner = undefined
  }

  #checkIds(ids: { find(isBad: (id: number) => boolean): number | undefined }): void {
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= this.vocabSize)
    if (bad !== undefined)
      throw new PetalsError('TOKEN_ID', `token id ${bad}: this model knows ids 0 to ${this.vocabSize - 1}`)
  }

  /** Whether so many texts take less time here, to their tokens, than the hand-over to the thread and back is worth. */
  #isQuick(options: ResolvedOptions, texts = 1): boolean {
    if (options.constraint !== undefined) return false
    const seconds = this.#headSeconds * (options.numBeams ?? 1) + choosingSeconds(options, this.vocabSize)
    return this.#runner !== undefined && texts * seconds < INLINE_SECONDS
  }

  #here(run: () => Float32Array): Float32Array {
    if (this.#thread.failure !== undefined) throw this.#thread.failure
    const began = performance.now()
    const values = run()
    this.emit('run', (performance.now() - began) / 1000)
    return values
  }
}
