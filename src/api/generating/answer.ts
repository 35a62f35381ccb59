import type { FinishReason } from '../../client/generation/result.ts'
import type { PlaceLogprobs } from '../../sampling/token-logprobs.ts'
import type { AnswerParser } from '../../client/chat/answer/answer-parser.ts'
import type { AnswerPart } from '../../client/chat/answer/parts.ts'
import type { TextEvent } from './text-request.ts'

/** What one more piece of an answer brings. */
export interface AnswerStep {
  readonly parts: readonly AnswerPart[]
  /** Tokens since the last step that had parts. */
  readonly tokenIds: readonly number[]
  readonly logprobs: readonly PlaceLogprobs[]
}

/** Why an answer ended. */
export type AnswerEnd = 'stop' | 'length' | 'tool_calls'

/** One answer of a chat as it comes. Tokens whose text is held back are told with the text. */
export class ChatAnswer {
  readonly #parser: AnswerParser
  #tokenIds: number[] = []
  #logprobs: PlaceLogprobs[] = []
  #reasoningTokens = 0
  #callsTools = false

  constructor(parser: AnswerParser) {
    this.#parser = parser
  }

  /** How many tokens the model has thought with. */
  get reasoningTokens(): number {
    return this.#reasoningTokens
  }

  /** Takes a chunk; undefined where nothing can be told yet. */
  push({ chunk }: Extract<TextEvent, { kind: 'chunk' }>): AnswerStep | undefined {
    for (const id of chunk.tokenIds) this.#tokenIds.push(id)
    for (const place of chunk.logprobs ?? []) this.#logprobs.push(place)
    const parts = this.#parser.push(chunk.text)
    return parts.length === 0 ? undefined : this.#step(parts)
  }

  /** At the end of the text: what was held back; undefined where that is nothing. */
  finish(): AnswerStep | undefined {
    const parts = this.#parser.finish()
    return parts.length === 0 && this.#tokenIds.length === 0 ? undefined : this.#step(parts)
  }

  /** Why it ended, once it has been finished. */
  endOf(reason: FinishReason): AnswerEnd {
    if (reason === 'length' || reason === 'time') return 'length'
    return this.#callsTools ? 'tool_calls' : 'stop'
  }

  #step(parts: readonly AnswerPart[]): AnswerStep {
    const step = { parts, tokenIds: this.#tokenIds, logprobs: this.#logprobs }
    if (parts[0]?.kind === 'reasoning') this.#reasoningTokens += this.#tokenIds.length
    this.#callsTools ||= parts.some(({ kind }) => kind === 'tool_call')
    this.#tokenIds = []
    this.#logprobs = []
    return step
  }
}
