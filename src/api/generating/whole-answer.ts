import type { PlaceLogprobs } from '../../sampling/token-logprobs.ts'
import type { AnswerParser } from '../../client/chat/answer/answer-parser.ts'
import type { AnswerPart } from '../../client/chat/answer/parts.ts'
import { type AnswerEnd, type AnswerStep, ChatAnswer } from './answer.ts'
import type { TextEvent } from './text-request.ts'

/** A call of a tool. */
export interface ToolCall {
  readonly id: string
  readonly name: string
  arguments: string
}

/** One answer of a chat, gathered until it is whole. */
export class WholeAnswer {
  readonly answer: ChatAnswer
  readonly tokenIds: number[] = []
  readonly logprobs: PlaceLogprobs[] = []
  readonly toolCalls: ToolCall[] = []
  content = ''
  reasoning = ''
  end: AnswerEnd = 'stop'
  /** The stop string before which it ended, if it ended so. */
  stopString: string | undefined

  constructor(parser: AnswerParser) {
    this.answer = new ChatAnswer(parser)
  }

  take(event: TextEvent): void {
    if (event.kind === 'chunk') this.#add(this.answer.push(event))
    if (event.kind !== 'end') return
    this.#add(this.answer.finish())
    this.end = this.answer.endOf(event.result.finishReason)
    this.stopString = event.result.stopString
  }

  #add(step: AnswerStep | undefined): void {
    if (step === undefined) return
    for (const part of step.parts) this.#addPart(part)
    for (const id of step.tokenIds) this.tokenIds.push(id)
    for (const place of step.logprobs) this.logprobs.push(place)
  }

  #addPart(part: AnswerPart): void {
    switch (part.kind) {
      case 'content':
        this.content += part.text
        break
      case 'reasoning':
        this.reasoning += part.text
        break
      case 'tool_call':
        this.toolCalls[part.index] = { id: part.id, name: part.name, arguments: '' }
        break
      case 'tool_arguments':
        this.toolCalls[part.index]!.arguments += part.text
        break
    }
  }
}
