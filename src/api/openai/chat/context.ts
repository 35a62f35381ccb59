import type { ApiModules } from '../../generating/api-modules.ts'
import type { AnswerParser } from '../../../client/chat/answer/answer-parser.ts'
import type { TextRequest } from '../../generating/text-request.ts'
import type { Exchange } from '../../http/exchange.ts'
import type { ChatRequest } from './request.ts'

/** One chat completion while it is being answered. */
export interface ChatContext {
  readonly modules: ApiModules
  readonly exchange: Exchange
  readonly body: ChatRequest
  readonly request: TextRequest
  openParser(): AnswerParser
  readonly id: string
  readonly created: number
}
