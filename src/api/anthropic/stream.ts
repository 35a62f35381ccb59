import type { AnswerPart } from '../../client/chat/answer/parts.ts'
import { ChatAnswer } from '../generating/answer.ts'
import { runTexts } from '../generating/run.ts'
import { chainOf, wantsChain } from '../openai/chain.ts'
import { timingsOf } from '../openai/usage.ts'
import type { MessageContext } from './context.ts'
import { anthropicError } from './errors.ts'
import { editsOf, messageUsage, stopReasonOf } from './message.ts'

type Send = (event: { readonly type: string; readonly [field: string]: unknown }) => Promise<void>

/** Answers with a message while it is being generated: Anthropic's events. */
export async function streamMessage(context: MessageContext): Promise<void> {
  const { exchange } = context
  const events = exchange.events()
  const send: Send = (event) => events.send(JSON.stringify(event), event.type)
  try {
    await streamTo(context, send)
  } catch (error) {
    if (!events.isOpen || exchange.signal.aborted) throw error
    exchange.fail(error)
    await events.send(JSON.stringify(anthropicError(error, exchange.requestId)), 'error')
  } finally {
    events.end()
  }
}

async function streamTo({ modules, exchange, body, prepared, id }: MessageContext, send: Send): Promise<void> {
  const { request } = prepared
  const answer = new ChatAnswer(prepared.openParser())
  const blocks = new Blocks(send)
  let isBegun = false
  let stop: object = {}
  const begin = async (): Promise<void> => {
    if (isBegun) return
    isBegun = true
    const usage = { input_tokens: request.prompts[0]!.length, output_tokens: 0 }
    const fields = { id, type: 'message', role: 'assistant', model: request.model.id, content: [] }
    await send({ type: 'message_start', message: { ...fields, stop_reason: null, stop_sequence: null, usage } })
  }
  const summary = await runTexts(modules, exchange, request, async (event) => {
    if (event.kind === 'prompt') return
    await begin()
    const step = event.kind === 'chunk' ? answer.push(event) : answer.finish()
    for (const part of step?.parts ?? []) await blocks.add(part)
    if (event.kind !== 'end') return
    const { finishReason, stopString } = event.result
    stop = stopReasonOf(answer.endOf(finishReason), stopString, body.stop_sequences ?? [])
  })
  await blocks.end()
  await send({
    type: 'message_delta',
    delta: stop,
    ...editsOf(body),
    usage: messageUsage(summary),
    timings: timingsOf(summary),
    ...(wantsChain(exchange) && { petals: chainOf(summary) }),
  })
  await send({ type: 'message_stop' })
}

/** The blocks of a message: one after another, each begun, continued and ended. */
class Blocks {
  readonly #send: Send
  /** What the open block is of; undefined if none is open. */
  #open: string | undefined
  #index = -1

  constructor(send: Send) {
    this.#send = send
  }

  async add(part: AnswerPart): Promise<void> {
    switch (part.kind) {
      case 'content':
        await this.#begin('text', { type: 'text', text: '' })
        return this.#delta({ type: 'text_delta', text: part.text })
      case 'reasoning':
        await this.#begin('thinking', { type: 'thinking', thinking: '', signature: '' })
        return this.#delta({ type: 'thinking_delta', thinking: part.text })
      case 'tool_call':
        return this.#begin(`tool ${part.index}`, { type: 'tool_use', id: part.id, name: part.name, input: {} })
      case 'tool_arguments':
        return this.#delta({ type: 'input_json_delta', partial_json: part.text })
    }
  }

  async end(): Promise<void> {
    if (this.#open !== undefined) await this.#send({ type: 'content_block_stop', index: this.#index })
    this.#open = undefined
  }

  async #begin(what: string, block: object): Promise<void> {
    if (this.#open === what) return
    await this.end()
    this.#open = what
    this.#index += 1
    await this.#send({ type: 'content_block_start', index: this.#index, content_block: block })
  }

  #delta(delta: object): Promise<void> {
    return this.#send({ type: 'content_block_delta', index: this.#index, delta })
  }
}
