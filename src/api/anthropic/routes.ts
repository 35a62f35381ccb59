import { randomUUID } from 'node:crypto'
import type { ApiModules } from '../generating/api-modules.ts'
import { runTexts } from '../generating/run.ts'
import { WholeAnswer } from '../generating/whole-answer.ts'
import { inFieldNames } from '../errors/field-names.ts'
import type { Route } from '../http/router.ts'
import { chainOf, wantsChain } from '../openai/chain.ts'
import { prepareChat, promptTokensOf } from '../openai/chat/prepare.ts'
import { parseRequest } from '../openai/fields.ts'
import { timingsOf } from '../openai/usage.ts'
import type { MessageContext } from './context.ts'
import { anthropicError } from './errors.ts'
import { editsOf, inputOf, messageUsage, stopReasonOf } from './message.ts'
import { COUNT_REQUEST, MESSAGE_REQUEST } from './request.ts'
import { streamMessage } from './stream.ts'
import { MESSAGE_NAMES, toChat } from './to-chat.ts'

/** `POST /v1/messages` and `/v1/messages/count_tokens`, as Anthropic has them. */
export function messageRoutes(modules: ApiModules): Route[] {
  const { catalog } = modules
  return [
    {
      method: 'POST',
      path: '/v1/messages',
      errorBody: anthropicError,
      async handle(exchange) {
        const body = parseRequest(MESSAGE_REQUEST, await exchange.json())
        const chosen = catalog.find(body.model, exchange)
        const prepared = await inFieldNames(MESSAGE_NAMES, async () =>
          prepareChat(chosen, toChat(body), exchange.signal),
        )
        const context = { modules, exchange, body, prepared, id: `msg_${randomUUID().replaceAll('-', '')}` }
        await (body.stream === true ? streamMessage(context) : sendMessage(context))
      },
    },
    {
      method: 'POST',
      path: '/v1/messages/count_tokens',
      errorBody: anthropicError,
      async handle(exchange) {
        const body = parseRequest(COUNT_REQUEST, await exchange.json())
        const chosen = catalog.find(body.model, exchange)
        const ids = await inFieldNames(MESSAGE_NAMES, async () => promptTokensOf(chosen, toChat(body), exchange.signal))
        exchange.sendJson(200, { input_tokens: ids.length })
      },
    },
  ]
}

/** Answers with a message when all of it is there. */
async function sendMessage({ modules, exchange, body, prepared, id }: MessageContext): Promise<void> {
  const { request } = prepared
  const answer = new WholeAnswer(prepared.openParser())
  const summary = await runTexts(modules, exchange, request, (event) => answer.take(event))
  const { reasoning, content, toolCalls } = answer
  exchange.sendJson(200, {
    id,
    type: 'message',
    role: 'assistant',
    model: request.model.id,
    content: [
      ...(reasoning === '' ? [] : [{ type: 'thinking', thinking: reasoning, signature: '' }]),
      ...(content === '' ? [] : [{ type: 'text', text: content }]),
      ...toolCalls.map((call) => ({ type: 'tool_use', id: call.id, name: call.name, input: inputOf(call.arguments) })),
    ],
    ...stopReasonOf(answer.end, answer.stopString, body.stop_sequences ?? []),
    ...editsOf(body),
    usage: messageUsage(summary),
    timings: timingsOf(summary),
    ...(wantsChain(exchange) && { petals: chainOf(summary) }),
  })
}
