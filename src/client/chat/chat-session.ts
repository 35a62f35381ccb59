import { PetalsError } from '../../base/errors.ts'
import type { GenerationChunk } from '../generation/result.ts'
import type { CachedResult, PromptCache } from '../prompt-cache/prompt-cache.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import type { ChatMessage, ChatTemplate } from './messages.ts'
import { type ChatTokenizer, TokenHistory } from './token-history.ts'

/** What a chat works with. */
export interface ChatModules {
  readonly template: ChatTemplate
  readonly tokenizer: ChatTokenizer
  /** Writes the answers, and keeps what servers hold of the conversation. */
  readonly texts: Pick<PromptCache, 'stream' | 'close'>
  /** The most tokens that the model accepts. */
  readonly maxTokens: number
}

/** An answer, and how much of the conversation had to be computed for it. */
export interface ChatAnswer extends CachedResult {
  /** Tokens of the whole conversation before the answer. */
  readonly contextTokens: number
  /** How many of these the servers had to compute; the others were in their caches. */
  readonly newTokens: number
}

/** A chat of which servers keep what they have computed, so that only new tokens are sent, also after changes. */
export class ChatSession {
  readonly #modules: ChatModules
  readonly #history: TokenHistory

  constructor(modules: ChatModules) {
    this.#modules = modules
    this.#history = new TokenHistory(modules.tokenizer)
  }

  /**
   * Generates the answer to `messages`, the last of which is the user's. The generator returns the whole answer. An
   * aborted signal ends the answer; what was written of it is kept. Throws `CHAT_TEMPLATE`, `CHAT_TOO_LONG`, and as
   * `PromptCache.stream`.
   */
  async *answer(
    messages: readonly ChatMessage[],
    options: GenerationOptions & { readonly maxNewTokens: number },
  ): AsyncGenerator<GenerationChunk, ChatAnswer> {
    const { template, texts, maxTokens } = this.#modules
    const ids = await this.#history.extend(template.render(messages))
    const maxNewTokens = Math.min(options.maxNewTokens, maxTokens - ids.length)
    if (maxNewTokens < 1) {
      throw new PetalsError(
        'CHAT_TOO_LONG',
        `the conversation has ${ids.length} tokens and the model takes ${maxTokens}: ` +
          'take turns back with /undo, or begin anew with /clear',
      )
    }
    const result = yield* texts.stream(ids, { ...options, maxNewTokens })
    await this.#history.append(result.text, result.tokenIds)
    return { ...result, contextTokens: ids.length, newTokens: ids.length - result.cachedTokens }
  }

  /** Frees the caches. */
  close(): Promise<void> {
    return this.#modules.texts.close()
  }
}
