import { PetalsError } from '../../base/errors.ts'
import type { GenerationChunk } from '../generation/result.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import type { CachedResult, PromptCache } from '../prompt-cache/prompt-cache.ts'
import type { ChatMessage, ChatTemplate } from '../chat/messages.ts'
import { type ChatTokenizer, TokenHistory } from '../chat/token-history.ts'

/** Messages of a turn: a question and its answer. */
const TURN = 2

/** One part in this many of the room is kept for an answer that may be so long: turns are left out for it. */
const MIN_ROOM = 4

/** What a chat works with. */
export interface ChatModules {
  readonly template: ChatTemplate
  readonly tokenizer: ChatTokenizer
  /** Writes the answers, and keeps what servers hold of the conversation. */
  readonly texts: Pick<PromptCache, 'stream' | 'close'>
  /** The most tokens that the model accepts. */
  readonly maxTokens: number
}

/**
 * What happens when a conversation and its answer have more tokens than the model takes: `stop`, the answer ends where
 * there is no room and the next is refused; `shift`, the oldest turns are left out, so that half of the room is free.
 */
export type OnFull = 'stop' | 'shift'

/** How an answer is generated. */
export interface AnswerOptions extends GenerationOptions {
  readonly maxNewTokens: number
  /** Default: `stop`. */
  readonly onFull?: OnFull | undefined
}

/** An answer, and how much of the conversation had to be computed for it. */
export interface ChatAnswer extends CachedResult {
  /** Tokens of the whole conversation before the answer. */
  readonly contextTokens: number
  /** How many of these the servers had to compute; the others were in their caches. */
  readonly newTokens: number
  /** How many of the conversation's first messages were left out for want of room; the system message never is. */
  readonly leftOut: number
  /** Whether the answer ended because the model takes no more tokens. */
  readonly isFull: boolean
}

/** A chat of which servers keep what they have computed, so that only new tokens are sent, also after changes. */
export class ChatSession {
  readonly #modules: ChatModules
  readonly #history: TokenHistory
  /** The messages at the conversation's beginning that the model is not told any more. */
  #leftOut: readonly ChatMessage[] = []

  constructor(modules: ChatModules) {
    this.#modules = modules
    this.#history = new TokenHistory(modules.tokenizer)
  }

  /** The most tokens that the model accepts. */
  get maxTokens(): number {
    return this.#modules.maxTokens
  }

  /**
   * Generates the answer to `messages`, the last of which is the user's. The generator returns the whole answer. An
   * aborted signal ends the answer; what was written of it is kept. Throws `CHAT_TEMPLATE`, `CHAT_TOO_LONG`, and as
   * `PromptCache.stream`.
   */
  async *answer(
    messages: readonly ChatMessage[],
    { onFull = 'stop', ...options }: AnswerOptions,
  ): AsyncGenerator<GenerationChunk, ChatAnswer> {
    const ids = await this.#fit(messages, options.maxNewTokens, onFull)
    const maxNewTokens = Math.min(options.maxNewTokens, this.maxTokens - ids.length)
    const result = yield* this.#modules.texts.stream(ids, { ...options, maxNewTokens })
    await this.#history.append(result.text, result.tokenIds)
    return {
      ...result,
      contextTokens: ids.length,
      newTokens: ids.length - result.cachedTokens,
      leftOut: this.#leftOut.length,
      isFull: result.finishReason === 'length' && maxNewTokens < options.maxNewTokens,
    }
  }

  /** Frees the caches. */
  close(): Promise<void> {
    return this.#modules.texts.close()
  }

  /** The ids of as much of the conversation as is told. Throws `CHAT_TOO_LONG` if there is no room for an answer. */
  async #fit(messages: readonly ChatMessage[], maxNewTokens: number, onFull: OnFull): Promise<number[]> {
    const { system, turns } = divide(messages)
    if (onFull === 'stop' || !beginsWith(turns, this.#leftOut)) this.#leftOut = []
    let ids = await this.#encode(system, turns)
    const wanted = Math.min(maxNewTokens, Math.floor(this.maxTokens / MIN_ROOM))
    if (onFull === 'shift' && this.maxTokens - ids.length < wanted) {
      while (ids.length > this.maxTokens / 2 && this.#leftOut.length + TURN < turns.length) {
        this.#leftOut = turns.slice(0, this.#leftOut.length + TURN)
        ids = await this.#encode(system, turns)
      }
    }
    if (ids.length < this.maxTokens) return ids
    const isAlone = this.#leftOut.length + TURN > turns.length
    throw new PetalsError(
      'CHAT_TOO_LONG',
      `the ${isAlone ? 'message' : 'conversation'} has ${ids.length} tokens and the model takes ${this.maxTokens}, ` +
        `the answer's among them: ${isAlone ? 'shorten it' : 'take turns back, begin anew, or leave out the oldest'}`,
    )
  }

  #encode(system: readonly ChatMessage[], turns: readonly ChatMessage[]): Promise<number[]> {
    return this.#history.extend(this.#modules.template.render([...system, ...turns.slice(this.#leftOut.length)]))
  }
}

/** The system message, if there is one, and the messages behind it. */
function divide(messages: readonly ChatMessage[]): { system: readonly ChatMessage[]; turns: readonly ChatMessage[] } {
  const count = messages[0]?.role === 'system' ? 1 : 0
  return { system: messages.slice(0, count), turns: messages.slice(count) }
}

function beginsWith(messages: readonly ChatMessage[], beginning: readonly ChatMessage[]): boolean {
  return (
    beginning.length < messages.length &&
    beginning.every(({ role, content }, i) => messages[i]!.role === role && messages[i]!.content === content)
  )
}
