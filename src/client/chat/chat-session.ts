import { PetalsError } from '../../base/errors.ts'
import type { GenerationChunk, GenerationResult } from '../generation/result.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import type { ChatMessage, ChatTemplate } from './messages.ts'
import { type ChatTokenizer, TokenHistory } from './token-history.ts'

/** Messages of a turn: a question and its answer. */
const TURN = 2

/** Turns are left out where less than this part of the room is left for an answer that may be longer. */
const MIN_ROOM = 4

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
export interface ChatAnswer extends GenerationResult {
  /** Tokens of the whole conversation before the answer. */
  readonly contextTokens: number
  /** How many of these the servers had to compute; the others were in their caches. */
  readonly newTokens: number
  /** How many of the conversation's first messages were left out for want of room; the system message never is. */
  readonly leftOut: number
  /** Whether the answer ended because the model takes no more tokens. */
  readonly isFull: boolean
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
  /** The messages at the conversation's beginning that the model is not told any more. */
  #leftOut: readonly ChatMessage[] = []

  constructor(modules: ChatModules, { sessionTokens, maxTokens }: ChatOptions) {
    this.#modules = modules
    this.#maxTokens = maxTokens
    this.#sessionTokens = Math.min(sessionTokens, maxTokens)
    this.#history = new TokenHistory(modules.tokenizer)
  }

  /** The most tokens that the model accepts. */
  get maxTokens(): number {
    return this.#maxTokens
  }

  /**
   * Generates the answer to `messages`, the last of which is the user's. The generator returns the whole answer. An
   * aborted signal ends the answer; the session keeps what it holds then. Throws `CHAT_TEMPLATE`, `CHAT_TOO_LONG`, and
   * as `CausalLMSession.generate`.
   */
  async *answer(
    messages: readonly ChatMessage[],
    { onFull = 'stop', ...options }: AnswerOptions,
  ): AsyncGenerator<GenerationChunk, ChatAnswer> {
    const ids = await this.#fit(messages, options.maxNewTokens, onFull)
    const maxNewTokens = Math.min(options.maxNewTokens, this.#maxTokens - ids.length)
    const session = await this.#sessionFor(ids.length + maxNewTokens)
    // The last token is always fed, even if it is held: its logits give the answer's first token.
    const start = Math.min(commonPrefix(ids, session.heldIds ?? []), ids.length - 1)
    session.position = start
    const result = yield* session.generate(ids.slice(start), { ...options, maxNewTokens })
    await this.#history.append(result.text, result.tokenIds)
    return {
      ...result,
      contextTokens: ids.length,
      newTokens: ids.length - start,
      leftOut: this.#leftOut.length,
      isFull: result.finishReason === 'length' && maxNewTokens < options.maxNewTokens,
    }
  }

  /** Frees the caches. */
  async close(): Promise<void> {
    await this.#session?.close()
  }

  /** The ids of as much of the conversation as is told. Throws `CHAT_TOO_LONG` if there is no room for an answer. */
  async #fit(messages: readonly ChatMessage[], maxNewTokens: number, onFull: OnFull): Promise<number[]> {
    const { system, turns } = divide(messages)
    if (onFull === 'stop' || !beginsWith(turns, this.#leftOut)) this.#leftOut = []
    let ids = await this.#encode(system, turns)
    const wanted = Math.min(maxNewTokens, Math.floor(this.#maxTokens / MIN_ROOM))
    if (onFull === 'shift' && this.#maxTokens - ids.length < wanted) {
      while (ids.length > this.#maxTokens / 2 && this.#leftOut.length + TURN < turns.length) {
        this.#leftOut = turns.slice(0, this.#leftOut.length + TURN)
        ids = await this.#encode(system, turns)
      }
    }
    if (ids.length < this.#maxTokens) return ids
    const isAlone = this.#leftOut.length + TURN > turns.length
    throw new PetalsError(
      'CHAT_TOO_LONG',
      `the ${isAlone ? 'message' : 'conversation'} has ${ids.length} tokens and the model takes ${this.#maxTokens}, ` +
        `the answer's among them: ${isAlone ? 'shorten it' : 'take turns back, begin anew, or leave out the oldest'}`,
    )
  }

  #encode(system: readonly ChatMessage[], turns: readonly ChatMessage[]): Promise<number[]> {
    return this.#history.extend(this.#modules.template.render([...system, ...turns.slice(this.#leftOut.length)]))
  }

  async #sessionFor(numTokens: number): Promise<ChatModelSession> {
    if (this.#session !== undefined && numTokens <= this.#sessionTokens) return this.#session
    await this.#session?.close()
    while (this.#sessionTokens < numTokens) this.#sessionTokens = Math.min(this.#sessionTokens * 2, this.#maxTokens)
    this.#session = this.#modules.openSession(this.#sessionTokens)
    return this.#session
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

/** How many ids at the beginning of both lists are equal. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0
  while (length < a.length && length < b.length && a[length] === b[length]) length++
  return length
}
