import type { ApiModules } from '../../generating/api-modules.ts'
import type { Exchange } from '../../http/exchange.ts'
import type { PreparedChat } from '../chat/prepare.ts'
import type { ResponseRequest } from './request.ts'

/** One response while it is being given. */
export interface ResponseContext {
  readonly modules: ApiModules
  readonly exchange: Exchange
  readonly body: ResponseRequest
  readonly prepared: PreparedChat
  readonly id: string
  readonly created: number
}
