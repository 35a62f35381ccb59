import type { ApiModules } from '../generating/api-modules.ts'
import type { Exchange } from '../http/exchange.ts'
import type { PreparedChat } from '../openai/chat/prepare.ts'
import type { MessageRequest } from './request.ts'

/** One message while it is being answered. */
export interface MessageContext {
  readonly modules: ApiModules
  readonly exchange: Exchange
  readonly body: MessageRequest
  readonly prepared: PreparedChat
  readonly id: string
}
