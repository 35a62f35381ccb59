import { randomUUID } from 'node:crypto'
import type { ApiModules } from '../../generating/api-modules.ts'
import { apiErrorOf } from '../../errors/error-of.ts'
import { inFieldNames } from '../../errors/field-names.ts'
import { type AnswerEnd, ChatAnswer } from '../../generating/answer.ts'
import { runTexts } from '../../generating/run.ts'
import type { Route } from '../../http/router.ts'
import { chainOf, wantsChain } from '../chain.ts'
import { prepareChat } from '../chat/prepare.ts'
import { parseRequest } from '../fields.ts'
import { timingsOf } from '../usage.ts'
import type { ResponseContext } from './context.ts'
import { type ResponseEvent, ResponseOutput } from './output.ts'
import { RESPONSE_REQUEST } from './request.ts'
import { responseOf } from './response.ts'
import { RESPONSE_NAMES, toChat } from './to-chat.ts'

type Tell = (events: readonly ResponseEvent[]) => Promise<void> | void

/** `POST /v1/responses`. Nothing is kept: a conversation is sent whole each time. */
export function responseRoute(modules: ApiModules): Route {
  return {
    method: 'POST',
    path: '/v1/responses',
    async handle(exchange) {
      const body = parseRequest(RESPONSE_REQUEST, await exchange.json())
      const chosen = modules.catalog.find(body.model, exchange)
      const prepared = await inFieldNames(RESPONSE_NAMES, async () =>
        prepareChat(chosen, toChat(body), exchange.signal),
      )
      const id = `resp_${randomUUID().replaceAll('-', '')}`
      const context = { modules, exchange, body, prepared, id, created: Math.floor(Date.now() / 1000) }
      if (body.stream === true) return streamResponse(context)
      exchange.sendJson(200, await respond(context, () => undefined))
    },
  }
}

/** Gives a response; `tell` is told of its output as it comes. */
async function respond(context: ResponseContext, tell: Tell): Promise<object> {
  const { modules, exchange, prepared } = context
  const answer = new ChatAnswer(prepared.openParser())
  const output = new ResponseOutput()
  let end = 'stop' as AnswerEnd
  const summary = await runTexts(modules, exchange, prepared.request, async (event) => {
    if (event.kind === 'prompt') return
    const step = event.kind === 'chunk' ? answer.push(event) : answer.finish()
    await tell((step?.parts ?? []).flatMap((part) => output.add(part)))
    if (event.kind === 'end') end = answer.endOf(event.result.finishReason)
  })
  await tell(output.end(end === 'length'))
  const { reasoningTokens } = answer
  return {
    ...responseOf(context, output.items, { summary, end, reasoningTokens }),
    timings: timingsOf(summary),
    ...(wantsChain(exchange) && { petals: chainOf(summary) }),
  }
}

/** Gives a response as events. */
async function streamResponse(context: ResponseContext): Promise<void> {
  const { exchange } = context
  const events = exchange.events()
  let number = 0
  const send = async (event: ResponseEvent): Promise<void> => {
    await events.send(JSON.stringify({ ...event, sequence_number: number++ }), event.type)
  }
  const begin = async (): Promise<void> => {
    if (number > 0) return
    const response = responseOf(context, [])
    await send({ type: 'response.created', response })
    await send({ type: 'response.in_progress', response })
  }
  try {
    const response = await respond(context, async (told) => {
      await begin()
      for (const event of told) await send(event)
    })
    await begin()
    const isCut = (response as { readonly status: string }).status === 'incomplete'
    await send({ type: isCut ? 'response.incomplete' : 'response.completed', response })
  } catch (error) {
    if (!events.isOpen || exchange.signal.aborted) throw error
    const { message, details } = apiErrorOf(error)
    await send({ type: 'error', code: details.code, message, param: details.param ?? null })
  } finally {
    events.end()
  }
}
