import type { ApiModules } from '../../generating/api-modules.ts'
import type { TextRequest } from '../../generating/text-request.ts'
import type { Exchange } from '../../http/exchange.ts'
import type { CompletionRequest } from './request.ts'

/** One completion while it is being answered. */
export interface CompletionContext {
  readonly modules: ApiModules
  readonly exchange: Exchange
  readonly body: CompletionRequest
  readonly request: TextRequest
  readonly id: string
  readonly created: number
}
