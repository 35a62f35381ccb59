import type { AnswerPart } from '../../../client/chat/answer/parts.ts'
import { type AnswerStep, ChatAnswer } from '../../generating/answer.ts'
import { type ChainState, runTexts } from '../../generating/run.ts'
import type { TextEvent } from '../../generating/text-request.ts'
import { streamEvents } from '../stream-events.ts'
import { chainOf, wantsChain } from '../chain.ts'
import { FINGERPRINT } from '../fingerprint.ts'
import { chatLogprobs, learnTokens } from '../logprobs.ts'
import { timingsOf, usageOf } from '../usage.ts'
import type { ChatContext } from './context.ts'
import { endOf, isOfFunctions } from './tools.ts'

/** Answers a chat while it is being generated. */
export function streamChat(context: ChatContext): Promise<void> {
  const { modules, exchange, body, request } = context
  return streamEvents(exchange, async (send) => {
    const stream = new ChatStream(context, send)
    const { caller, signal } = exchange
    const onChain = wantsChain(exchange) ? (chain: ChainState) => stream.tellChain(chain) : undefined
    const summary = await runTexts(modules, { caller, signal, onChain }, request, (event) => stream.take(event))
    await stream.end({
      timings: timingsOf(summary),
      ...(wantsChain(exchange) && { petals: chainOf(summary) }),
    })
    if (body.stream_options?.include_usage === true)
      await stream.send({ choices: [], usage: usageOf(summary, stream.reasoningTokens) })
  })
}

type Send = (chunk: object) => Promise<void>

/** The chunks of one streamed chat. */
class ChatStream {
  readonly #context: ChatContext
  readonly #send: Send
  readonly #answers: readonly ChatAnswer[]
  /** Choices that have been begun, and how many are not over. */
  readonly #begun = new Set<number>()
  #numOpen: number
  /** The end of the last choice, which goes out when it is known what all has taken. */
  #last: object | undefined

  constructor(context: ChatContext, send: Send) {
    this.#context = context
    this.#send = send
    this.#answers = Array.from({ length: context.request.n }, () => new ChatAnswer(context.openParser()))
    this.#numOpen = context.request.n
  }

  /** Sends a chunk with what all have in common. */
  send(fields: object): Promise<void> {
    const { id, created, request } = this.#context
    const common = { id, object: 'chat.completion.chunk', created, model: request.model.id }
    return this.#send({ ...common, system_fingerprint: FINGERPRINT, ...fields })
  }

  async take(event: TextEvent): Promise<void> {
    if (event.kind === 'prompt') return
    const { index } = event
    await this.#begin(index)
    const answer = this.#answers[index]!
    if (event.kind === 'chunk') return this.#step(index, answer.push(event))
    await this.#step(index, answer.finish())
    const reason = endOf(this.#context.body, answer.endOf(event.result.finishReason))
    const end = { index, delta: {}, logprobs: null, finish_reason: reason }
    this.#numOpen -= 1
    if (this.#numOpen > 0) await this.#choice(end)
    else this.#last = end
  }

  get reasoningTokens(): number {
    return this.#answers.reduce((sum, { reasoningTokens }) => sum + reasoningTokens, 0)
  }

  /** Tells a client that asked for it who computes its answer now, or what is waited for. */
  tellChain(chain: ChainState): void {
    // Where the client is gone, the next event says so.
    void this.send({ choices: [], petals: chainOf(chain) }).catch(() => undefined)
  }

  /** Sends the end of the last choice, with what is told of all of them. */
  async end(more: object): Promise<void> {
    if (this.#last !== undefined) await this.#choice(this.#last, more)
  }

  async #begin(index: number): Promise<void> {
    if (this.#begun.has(index)) return
    this.#begun.add(index)
    const { body, request } = this.#context
    await this.#choice(
      { index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null },
      body.return_token_ids === true ? { prompt_token_ids: request.prompts[0] } : {},
    )
  }

  async #step(index: number, step: AnswerStep | undefined): Promise<void> {
    if (step === undefined) return
    const { body, request } = this.#context
    const { tokens } = request.model.served
    if (body.logprobs === true) await learnTokens(tokens, step)
    const deltas = deltasOf(step.parts, isOfFunctions(body))
    for (const [i, delta] of deltas.entries()) {
      const isFirst = i === 0
      await this.#choice({
        index,
        delta,
        logprobs: body.logprobs === true && isFirst ? { content: chatLogprobs(tokens, step), refusal: null } : null,
        finish_reason: null,
        ...(body.return_token_ids === true && { token_ids: isFirst ? step.tokenIds : [] }),
      })
    }
  }

  #choice(choice: object, more: object = {}): Promise<void> {
    const usage = this.#context.body.stream_options?.include_usage === true ? { usage: null } : {}
    return this.send({ choices: [choice], ...usage, ...more })
  }
}

/** What a step adds to a message: a delta for each part; one that is empty if there are none. */
function deltasOf(parts: readonly AnswerPart[], isOfFunctions: boolean): object[] {
  return parts.length === 0 ? [{}] : parts.map((part) => deltaOf(part, isOfFunctions))
}

function deltaOf(part: AnswerPart, isOfFunctions: boolean): object {
  if (part.kind === 'content') return { content: part.text }
  if (part.kind === 'reasoning') return { reasoning_content: part.text }
  const fields = part.kind === 'tool_call' ? { name: part.name, arguments: '' } : { arguments: part.text }
  if (isOfFunctions) return { function_call: fields }
  const begin = part.kind === 'tool_call' ? { id: part.id, type: 'function' } : {}
  return { tool_calls: [{ index: part.index, ...begin, function: fields }] }
}
