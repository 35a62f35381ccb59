import { randomUUID } from 'node:crypto'
import type { ApiModules } from '../../generating/api-modules.ts'
import type { Route } from '../../http/router.ts'
import { parseRequest } from '../fields.ts'
import { prepareCompletion } from './prepare.ts'
import { COMPLETION_REQUEST } from './request.ts'
import { streamCompletion } from './stream.ts'
import { sendCompletion } from './whole.ts'

/** `POST /v1/completions`. */
export function completionRoute(modules: ApiModules): Route {
  return {
    method: 'POST',
    path: '/v1/completions',
    async handle(exchange) {
      const body = parseRequest(COMPLETION_REQUEST, await exchange.json())
      const chosen = modules.catalog.find(body.model, exchange)
      const request = await prepareCompletion(chosen, body, exchange.signal)
      const id = `cmpl-${randomUUID().replaceAll('-', '')}`
      const context = { modules, exchange, body, request, id, created: Math.floor(Date.now() / 1000) }
      await (body.stream === true ? streamCompletion(context) : sendCompletion(context))
    },
  }
}
