// Room tokenizer/: tokenizer.json in a thread of its own, decoding as ids come; constraints are checked in another one.

import type { Worker } from 'node:worker_threads'
import { PetalsError } from '../../base/errors.ts'
import { IdleThread } from '../../base/thread/idle-thread.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import { Thread } from '../../base/thread/thread.ts'
import type { Constraint } from '../../sampling/grammar/constraint.ts'
import { checkDepth } from '../../sampling/grammar/json/depth.ts'
import type { Vocabulary } from '../../sampling/grammar/tokens/vocabulary.ts'
import { Advances } from './advances.ts'
import { type ConstraintCalls, type TokenizerCalls, type TokenizerWorkerData, tokenizerError } from './calls.ts'
import { TokenStream } from './token-stream.ts'
import { WholeTexts } from './whole-texts.ts'

/** A text of more characters is not encoded between others: it would hold them up for a tenth of a second or more. */
const MAX_SHARED_CHARS = 1 << 18

/** How a text is encoded. */
export interface EncodeOptions {
  /** Whether with the special tokens that the tokenizer puts around it, e.g. a BOS; it is so by default. */
  readonly addSpecialTokens?: boolean
  /** A long text is not encoded once this is aborted, unless that has begun. */
  readonly signal?: AbortSignal | undefined
}

/**
 * A checkpoint's tokenizer, which runs in a worker thread. Calls reject with `TOKENIZER_FAILED` if the thread fails and
 * with `TOKENIZER_CLOSED` after `close`. An idle tokenizer does not keep the process alive.
 */
export class Tokenizer {
  readonly #thread: Thread<TokenizerCalls>
  /** Holds the tokenizer once more, while there are long texts. */
  readonly #longTexts: IdleThread<TokenizerCalls>
  readonly #advances: Advances
  #constraints: Thread<ConstraintCalls> | undefined
  #isClosed = false
  #vocabulary: Promise<Vocabulary> | undefined
  /** The texts of tokens, once the vocabulary is known. */
  #texts: WholeTexts | undefined

  /**
   * Starts the thread; resolves once it has read the folder's tokenizer. Rejects with `CHECKPOINT_MISSING_FILE`,
   * `CHECKPOINT_FORMAT` or `TOKENIZER_FAILED`.
   */
  static async load(folder: string): Promise<Tokenizer> {
    const workerData: TokenizerWorkerData = { folder }
    const start = (): Worker => startWorker(import.meta.url, 'tokenizer-worker', { workerData })
    const thread = new Thread<TokenizerCalls>(start(), tokenizerError)
    try {
      await thread.ready()
    } catch (error) {
      await thread.end()
      throw error
    }
    return new Tokenizer(thread, new IdleThread({ start, lost: tokenizerError }))
  }

  private constructor(thread: Thread<TokenizerCalls>, longTexts: IdleThread<TokenizerCalls>) {
    this.#thread = thread
    this.#longTexts = longTexts
    this.#advances = new Advances((requests) => thread.call('advance', requests))
  }

  /** The token ids of a text. Rejects with the signal's reason for a long text that is no longer wanted. */
  encode(text: string, { addSpecialTokens = true, signal }: EncodeOptions = {}): Promise<number[]> {
    const asked = { text, addSpecialTokens }
    if (text.length <= MAX_SHARED_CHARS) return this.#thread.call('encode', asked)
    return this.#longTexts.call('encode', asked, signal)
  }

  /** The text of token ids; by default the texts of special tokens are included. */
  decode(ids: readonly number[], options: { readonly skipSpecialTokens?: boolean } = {}): Promise<string> {
    return this.#thread.call('decode', { ids, skipSpecialTokens: options.skipSpecialTokens ?? false })
  }

  /** Begins to decode ids while they arrive; by default the texts of special tokens are included. */
  tokenStream(options: { readonly skipSpecialTokens?: boolean } = {}): TokenStream {
    const skipSpecialTokens = options.skipSpecialTokens ?? false
    return new TokenStream({
      advance: (state, ids) => this.#advances.next({ state, ids, skipSpecialTokens }),
      rest: (state) => this.#thread.call('rest', { state, skipSpecialTokens }),
      textOf: (id) => this.#texts?.of(id),
    })
  }

  /**
   * The bytes of all tokens. Read once; from then on texts are decoded without the thread, but for characters that are
   * not whole. Rejects with `CONSTRAINT_UNSUPPORTED` where tokens have none of their own.
   */
  vocabulary(): Promise<Vocabulary> {
    return (this.#vocabulary ??= this.#readVocabulary())
  }

  async #readVocabulary(): Promise<Vocabulary> {
    const vocabulary = await this.#thread.call('vocabulary', {})
    this.#texts = new WholeTexts(vocabulary)
    return vocabulary
  }

  /**
   * Checks that a constraint can be enforced, in a thread for that, which the first one starts: it may take some time.
   * Rejects as `ConstraintCompiler.compile`.
   */
  async checkConstraint(constraint: Constraint): Promise<void> {
    checkDepth(constraint)
    if (this.#isClosed) throw closedError()
    this.#constraints ??= new Thread(startWorker(import.meta.url, 'constraint-worker'), tokenizerError)
    await this.#constraints.call('check', { constraint })
  }

  /** Ends the threads; unanswered calls are rejected. May be called again. */
  async close(): Promise<void> {
    this.#isClosed = true
    const threads = [this.#thread, this.#longTexts, this.#constraints]
    await Promise.all(threads.map((thread) => thread?.end(closedError())))
  }
}

function closedError(): PetalsError {
  return new PetalsError('TOKENIZER_CLOSED', 'the tokenizer has been closed')
}
