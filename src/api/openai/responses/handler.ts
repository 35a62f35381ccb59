import { randomUUID } from 'node:crypto'
import type { ApiModules } from '../../generating/api-modules.ts'
import { apiErrorOf } from '../../errors/error-of.ts'
import { inFieldNames } from '../../errors/field-names.ts'
import { type AnswerEnd, ChatAnswer } from '../../generating/answer.ts'
import { runTexts } from '../../generating/run.ts'
import type { Route } from '../../http/router.ts'
import { chainOf, wantsChain } from '../chain.ts'
import { prepareChat, promptTokensOf } from '../chat/prepare.ts'
import { parseRequest } from '../fields.ts'
import { timingsOf } from '../usage.ts'
import type { ResponseContext } from './context.ts'
import { type ResponseEvent, ResponseOutput } from './output.ts'
import { RESPONSE_REQUEST } from './request.ts'
import { responseOf } from './response.ts'
import { namesOf, toChat } from './to-chat.ts'
import { callNames } from './tools.ts'

type Tell = (events: readonly ResponseEvent[]) => Promise<void> | void

/** `POST /v1/responses`, where nothing is kept: a conversation is sent whole each time; and how many tokens it has. */
export function responseRoutes(modules: ApiModules): Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/responses',
      async handle(exchange) {
        const body = parseRequest(RESPONSE_REQUEST, await exchange.json())
        const chosen = modules.catalog.find(body.model, exchange)
        const prepared = await inFieldNames(namesOf(body), async () =>
          prepareChat(chosen, toChat(body), exchange.signal),
        )
        const id = `resp_${randomUUID().replaceAll('-', '')}`
        const context = { modules, exchange, body, prepared, id, created: Math.floor(Date.now() / 1000) }
        if (body.stream === true) return streamResponse(context)
        exchange.sendJson(200, await respond(context, new ResponseOutput(callNames(body)), () => undefined))
      },
    },
    {
      method: 'POST',
      path: '/v1/responses/input_tokens',
      async handle(exchange) {
        const body = parseRequest(RESPONSE_REQUEST, await exchange.json())
        const chosen = modules.catalog.find(body.model, exchange)
        const ids = await inFieldNames(namesOf(body), async () => promptTokensOf(chosen, toChat(body), exchange.signal))
        exchange.sendJson(200, { object: 'response.input_tokens', input_tokens: ids.length })
      },
    },
  ]
}

/** Gives a response, whose output is gathered in `output`; `tell` is told of it as it comes. */
async function respond(context: ResponseContext, output: ResponseOutput, tell: Tell): Promise<object> {
  const { modules, exchange, prepared } = context
  const answer = new ChatAnswer(prepared.openParser())
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
  const { exchange, body } = context
  const events = exchange.events()
  const output = new ResponseOutput(callNames(body))
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
    const response = await respond(context, output, async (told) => {
      await begin()
      for (const event of told) await send(event)
    })
    await begin()
    const isCut = (response as { readonly status: string }).status === 'incomplete'
    await send({ type: isCut ? 'response.incomplete' : 'response.completed', response })
  } catch (error) {
    if (!events.isOpen || exchange.signal.aborted) throw error
    exchange.fail(error)
    await begin()
    const { message, details } = apiErrorOf(error)
    const { type, code, param = null } = details
    // Documented is the flat form; OpenAI's own clients raise what they find under `error`.
    await send({ type: 'error', code, message, param, error: { type, code, message, param } })
    const failed = { ...responseOf(context, output.items), status: 'failed', error: { code, message } }
    await send({ type: 'response.failed', response: failed })
  } finally {
    events.end()
  }
}
