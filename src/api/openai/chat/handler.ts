import { randomUUID } from 'node:crypto'
import type { ApiModules } from '../../generating/api-modules.ts'
import type { Exchange } from '../../http/exchange.ts'
import type { Route } from '../../http/router.ts'
import { parseRequest } from '../fields.ts'
import { CHAT_REQUEST } from './request.ts'
import { prepareChat } from './prepare.ts'
import { sendChat } from './whole.ts'
import { streamChat } from './stream.ts'
import type { ChatContext } from './context.ts'

/** `POST /v1/chat/completions`. */
export function chatRoute(modules: ApiModules): Route {
  return {
    method: 'POST',
    path: '/v1/chat/completions',
    async handle(exchange: Exchange) {
      const body = parseRequest(CHAT_REQUEST, await exchange.json())
      const chosen = modules.catalog.find(body.model, exchange)
      const context: ChatContext = {
        modules,
        exchange,
        body,
        ...(await prepareChat(chosen, body, exchange.signal)),
        id: `chatcmpl-${randomUUID().replaceAll('-', '')}`,
        created: Math.floor(Date.now() / 1000),
      }
      await (body.stream === true ? streamChat(context) : sendChat(context))
    },
  }
}
