import { type AnswerPart, openAnswerParser } from '../../generating/answer-parts.ts'
import type { TextEvent } from '../../generating/text-request.ts'
import type { PlaceLogprobs } from '../../../sampling/token-logprobs.ts'

/** What one more piece of an answer brings. */
export interface AnswerStep {
  readonly parts: readonly AnswerPart[]
  /** Tokens since the last step that had parts. */
  readonly tokenIds: readonly number[]
  readonly logprobs: readonly PlaceLogprobs[]
}

/** One answer of a chat as it comes. Tokens whose text is held back are told with the text. */
export class ChatAnswer {
  readonly #parser = openAnswerParser()
  #tokenIds: number[] = []
  #logprobs: PlaceLogprobs[] = []

  /** Takes a chunk; undefined where nothing can be told yet. */
  push({ chunk }: Extract<TextEvent, { kind: 'chunk' }>): AnswerStep | undefined {
    this.#tokenIds.push(...chunk.tokenIds)
    this.#logprobs.push(...(chunk.logprobs ?? []))
    const parts = this.#parser.push(chunk.text)
    return parts.length === 0 ? undefined : this.#step(parts)
  }

  /** At the end of the text: what was held back; undefined where that is nothing. */
  finish(): AnswerStep | undefined {
    const parts = this.#parser.finish()
    return parts.length === 0 && this.#tokenIds.length === 0 ? undefined : this.#step(parts)
  }

  #step(parts: readonly AnswerPart[]): AnswerStep {
    const step = { parts, tokenIds: this.#tokenIds, logprobs: this.#logprobs }
    this.#tokenIds = []
    this.#logprobs = []
    return step
  }
}
