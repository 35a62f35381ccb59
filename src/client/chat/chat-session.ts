import { PetalsError } from '../../base/errors.ts'
import type { GenerationChunk, GenerationResult } from '../generation/result.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import type { ChatMessage, ChatTemplate } from './messages.ts'
import { type ChatTokenizer, TokenHistory } from './token-history.ts'

/** The part of a model's session that a chat uses. */
export interface ChatModelSession {
  /** Number of tokens in the caches; may be set to a smaller number. */
  position: number
  /** The ids of these tokens; undefined if unknown. */
  readonly heldIds: readonly number[] | undefined
  generate(promptIds: readonly number[], options: GenerationOptions): AsyncGenerator<GenerationChunk, GenerationResult>
  close(): Promise<void>
}

/** What a chat works with. */
export interface ChatModules {
  readonly template: ChatTemplate
  readonly tokenizer: ChatTokenizer
  /** Opens a session for `maxLength` tokens. */
  openSession(maxLength: number): ChatModelSession
}

/** The lengths of a chat. */
export interface ChatOptions {
  /**
   * Length of the first session in tokens. A conversation that outgrows its session moves to one of twice the length.
   */
  readonly sessionTokens: number
  /** The most tokens that the model accepts. */
  readonly maxTokens: number
}

/** An answer, and how much of the conversation had to be computed for it. */
export interface ChatAnswer extends GenerationResult {
  /** Tokens of the whole conversation before the answer. */
  readonly contextTokens: number
  /** How many of these the servers had to compute; the others were in their caches. */
  readonly newTokens: number
}

/**
 * A chat that keeps its session on the servers between turns, so that only new tokens are sent. If the conversation was
 * changed, the session is cut back to the part that is unchanged.
 */
export class ChatSession {
  readonly #modules: ChatModules
  readonly #maxTokens: number
  readonly #history: TokenHistory
  #sessionTokens: number
  #session: ChatModelSession | undefined

  constructor(modules: ChatModules, { sessionTokens, maxTokens }: ChatOptions) {
    this.#modules = modules
    this.#maxTokens = maxTokens
    this.#sessionTokens = Math.min(sessionTokens, maxTokens)
    this.#history = new TokenHistory(modules.tokenizer)
  }

  /**
   * Generates the answer to `messages`, the last of which is the user's. The generator returns the whole answer. An
   * aborted signal ends the answer; the session keeps what it holds then. Throws `CHAT_TEMPLATE`, `CHAT_TOO_LONG`, and
   * as `CausalLMSession.generate`.
   */
  async *answer(
    messages: readonly ChatMessage[],
    options: GenerationOptions & { readonly maxNewTokens: number },
  ): AsyncGenerator<GenerationChunk, ChatAnswer> {
    const ids = await this.#history.extend(this.#modules.template.render(messages))
    const maxNewTokens = Math.min(options.maxNewTokens, this.#maxTokens - ids.length)
    if (maxNewTokens < 1) {
      throw new PetalsError(
        'CHAT_TOO_LONG',
        `the conversation has ${ids.length} tokens and the model takes ${this.#maxTokens}: ` +
          'take turns back with /undo, or begin anew with /clear',
      )
    }
    const session = await this.#sessionFor(ids.length + maxNewTokens)
    // The last token is always fed, even if it is held: its logits give the answer's first token.
    const start = Math.min(commonPrefix(ids, session.heldIds ?? []), ids.length - 1)
    session.position = start
    const result = yield* session.generate(ids.slice(start), { ...options, maxNewTokens })
    await this.#history.append(result.text, result.tokenIds)
    return { ...result, contextTokens: ids.length, newTokens: ids.length - start }
  }

  /** Frees the caches. */
  async close(): Promise<void> {
    await this.#session?.close()
  }

  async #sessionFor(numTokens: number): Promise<ChatModelSession> {
    if (this.#session !== undefined && numTokens <= this.#sessionTokens) return this.#session
    await this.#session?.close()
    while (this.#sessionTokens < numTokens) this.#sessionTokens = Math.min(this.#sessionTokens * 2, this.#maxTokens)
    this.#session = this.#modules.openSession(this.#sessionTokens)
    return this.#session
  }
}

/** How many ids at the beginning of both lists are equal. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return length
}
