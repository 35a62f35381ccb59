import { runTexts } from '../../generating/run.ts'
import type { TextEvent } from '../../generating/text-request.ts'
import type { PlaceLogprobs } from '../../../sampling/token-logprobs.ts'
import { chainOf, wantsChain } from '../chain.ts'
import { finishReasonOf } from '../finish-reason.ts'
import { FINGERPRINT } from '../fingerprint.ts'
import { streamEvents } from '../stream-events.ts'
import { timingsOf, usageOf } from '../usage.ts'
import { type PlacedTokens, completionLogprobs, toldIds } from './choice.ts'
import type { CompletionContext } from './context.ts'
import { Echo } from './echoed.ts'

/** Answers a completion while it is being generated. */
export function streamCompletion(context: CompletionContext): Promise<void> {
  const { modules, exchange, body, request } = context
  return streamEvents(exchange, async (send) => {
    const stream = new CompletionStream(context, send)
    const summary = await runTexts(modules, exchange, request, (event) => stream.take(event))
    await stream.end({
      timings: timingsOf(summary),
      ...(wantsChain(exchange) && { petals: chainOf(summary) }),
    })
    if (body.stream_options?.include_usage === true) await stream.send({ choices: [], usage: usageOf(summary) })
  })
}

/** One text as it comes: tokens whose text is held back are told with the text. */
interface OpenText {
  isBegun: boolean
  /** Characters that were told. */
  length: number
  tokenIds: number[]
  logprobs: PlaceLogprobs[]
}

class CompletionStream {
  readonly #context: CompletionContext
  readonly #send: (chunk: object) => Promise<void>
  readonly #echo: Echo
  readonly #texts: readonly OpenText[]
  #numOpen: number
  #last: object | undefined

  constructor(context: CompletionContext, send: (chunk: object) => Promise<void>) {
    const { prompts, n } = context.request
    this.#context = context
    this.#send = send
    this.#echo = new Echo(context)
    this.#numOpen = prompts.length * n
    this.#texts = Array.from({ length: this.#numOpen }, () => ({
      isBegun: false,
      length: 0,
      tokenIds: [],
      logprobs: [],
    }))
  }

  send(fields: object): Promise<void> {
    const { id, created, request } = this.#context
    const common = { id, object: 'text_completion', created, model: request.model.id }
    return this.#send({ ...common, system_fingerprint: FINGERPRINT, ...fields })
  }

  async take(event: TextEvent): Promise<void> {
    if (event.kind === 'prompt') return this.#echo.score(event.prompt, event.logprobs)
    const { index } = event
    const text = this.#texts[index]!
    await this.#begin(index, text)
    if (event.kind === 'chunk') {
      text.tokenIds.push(...event.chunk.tokenIds)
      text.logprobs.push(...(event.chunk.logprobs ?? []))
      if (event.chunk.text !== '') await this.#tell(index, text, event.chunk.text)
      return
    }
    if (text.tokenIds.length > 0) await this.#tell(index, text, '')
    const end = { index, text: '', logprobs: null, finish_reason: finishReasonOf(event.result.finishReason) }
    this.#numOpen -= 1
    if (this.#numOpen > 0) await this.#choice(end)
    else this.#last = end
  }

  /** Sends the end of the last text, with what is told of all of them. */
  async end(more: object): Promise<void> {
    if (this.#last !== undefined) await this.#choice(this.#last, more)
  }

  /** Sends the prompt first, where it is wanted. */
  async #begin(index: number, text: OpenText): Promise<void> {
    if (text.isBegun) return
    text.isBegun = true
    const { body, request } = this.#context
    const prompt = Math.floor(index / request.n)
    const ids = body.return_token_ids === true ? { prompt_token_ids: request.prompts[prompt] } : {}
    if (body.echo !== true && body.return_token_ids !== true) return
    const before = await this.#echo.textOf(prompt)
    const placed = this.#echo.tokensOf(prompt)
    await this.#choice({
      index,
      text: before,
      logprobs: placed.tokenIds.length > 0 ? await this.#logprobs(placed, before, 0) : null,
      finish_reason: null,
      ...ids,
    })
    text.length = before.length
  }

  async #tell(index: number, text: OpenText, piece: string): Promise<void> {
    const { body } = this.#context
    const placed = { tokenIds: text.tokenIds, logprobs: text.logprobs }
    const offset = text.length
    text.tokenIds = []
    text.logprobs = []
    text.length += piece.length
    await this.#choice({
      index,
      text: piece,
      logprobs: body.logprobs === undefined ? null : await this.#logprobs(placed, piece, offset),
      finish_reason: null,
      ...(body.return_token_ids === true && { token_ids: placed.tokenIds }),
    })
  }

  async #logprobs(placed: PlacedTokens, text: string, offset: number): Promise<object> {
    const { body, request } = this.#context
    const { tokens } = request.model.served
    await tokens.learn(toldIds(placed))
    return completionLogprobs(tokens, placed, { text, offset, asIds: body.return_tokens_as_token_ids === true })
  }

  #choice(choice: object, more: object = {}): Promise<void> {
    const usage = this.#context.body.stream_options?.include_usage === true ? { usage: null } : {}
    return this.send({ choices: [choice], ...usage, ...more })
  }
}
