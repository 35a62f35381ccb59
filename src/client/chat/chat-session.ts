import { PetalsError } from '../../base/errors.ts'
import type { GenerationChunk, GenerationResult } from '../generation/result.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import type { ChatMessage, ChatTemplate } from './messages.ts'
import { type ChatTokenizer, TokenHistory } from './token-history.ts'

/** What a chat needs of a session on the servers. */
export interface ChatModelSession {
  /** Tokens in the caches; can be set back. */
  position: number
  /** Their ids. */
  readonly heldIds: readonly number[] | undefined
  generate(promptIds: readonly number[], options: GenerationOptions): AsyncGenerator<GenerationChunk, GenerationResult>
  close(): Promise<void>
}

export interface ChatModules {
  readonly template: ChatTemplate
  readonly tokenizer: ChatTokenizer
  /** Opens a session for so many tokens. */
  openSession(maxLength: number): ChatModelSession
}

export interface ChatOptions {
  /** Tokens that the first session takes. A conversation that outgrows it moves to one of twice the length. */
  readonly sessionTokens: number
  /** Tokens that the model takes at most. */
  readonly maxTokens: number
}

export interface ChatAnswer extends GenerationResult {
  /** Tokens of the whole conversation before the answer. */
  readonly contextTokens: number
  /** Those of them that the servers had to compute: the others were in their caches. */
  readonly newTokens: number
}

/**
 * A chat whose session on the servers outlives the turns: only tokens that it does not hold yet are sent. Where a
 * conversation was changed, the session is cut back to what is still the same.
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
   * Has the model answer to `messages`, of which the user's is the last; the generator returns the answer. An aborted
   * signal ends the answer and leaves the session as it is then. Throws `CHAT_TEMPLATE`, `CHAT_TOO_LONG`, and like
   * `CausalLMSession.generate`.
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
    // The last token is always fed: its logits are what the answer begins with.
    const start = Math.min(commonPrefix(ids, session.heldIds ?? []), ids.length - 1)
    session.position = start
    const result = yield* session.generate(ids.slice(start), { ...options, maxNewTokens })
    await this.#history.append(result.text, result.tokenIds)
    return { ...result, contextTokens: ids.length, newTokens: ids.length - start }
  }

  /** Gives the caches back. */
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

/** How many ids at the beginning of both are the same. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return length
}
