import { runTexts } from '../../generating/run.ts'
import type { TextResult } from '../../generating/text-request.ts'
import type { PlaceLogprobs } from '../../../sampling/token-logprobs.ts'
import { chainOf, wantsChain } from '../chain.ts'
import { finishReasonOf } from '../finish-reason.ts'
import { FINGERPRINT } from '../fingerprint.ts'
import { timingsOf, usageOf } from '../usage.ts'
import { completionLogprobs, toldIds } from './choice.ts'
import type { CompletionContext } from './context.ts'
import { Echo } from './echoed.ts'

interface Text {
  readonly prompt: number
  readonly logprobs: PlaceLogprobs[]
  result: TextResult | undefined
}

/** Answers a completion when all of it is there. */
export async function sendCompletion(context: CompletionContext): Promise<void> {
  const { modules, exchange, body, request, id, created } = context
  const echo = new Echo(context)
  const texts = request.prompts.flatMap((_, prompt) =>
    Array.from({ length: request.n }, (): Text => ({ prompt, logprobs: [], result: undefined })),
  )
  const summary = await runTexts(modules, exchange, request, (event) => {
    if (event.kind === 'prompt') return echo.score(event.prompt, event.logprobs)
    const text = texts[event.index]!
    if (event.kind === 'chunk') text.logprobs.push(...(event.chunk.logprobs ?? []))
    else text.result = event.result
  })
  const best = request.prompts.flatMap((_, prompt) =>
    bestOf(texts.slice(prompt * request.n, (prompt + 1) * request.n), body.n ?? 1),
  )
  exchange.sendJson(200, {
    id,
    object: 'text_completion',
    created,
    model: request.model.id,
    choices: await Promise.all(best.map((text, index) => choiceOf(context, echo, text, index))),
    usage: usageOf(summary),
    system_fingerprint: FINGERPRINT,
    timings: timingsOf(summary),
    ...(wantsChain(exchange) && { petals: chainOf(summary) }),
  })
}

/** The texts whose tokens are likeliest on average, as many as are wanted, in the order in which they were drawn. */
function bestOf(texts: readonly Text[], count: number): readonly Text[] {
  if (texts.length <= count) return texts
  const mean = ({ logprobs }: Text): number => logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / logprobs.length
  const kept = new Set(texts.toSorted((a, b) => mean(b) - mean(a)).slice(0, count))
  return texts.filter((text) => kept.has(text))
}

async function choiceOf(
  { body, request }: CompletionContext,
  echo: Echo,
  { prompt, logprobs, result }: Text,
  index: number,
): Promise<object> {
  const { tokens } = request.model.served
  const before = await echo.textOf(prompt)
  const { tokenIds = [], text = '', finishReason = 'length' } = result ?? {}
  const echoed = echo.tokensOf(prompt)
  const placed = {
    tokenIds: [...echoed.tokenIds, ...tokenIds],
    logprobs: [...echoed.logprobs, ...logprobs],
  }
  const wantsLogprobs = body.logprobs !== undefined
  if (wantsLogprobs) await tokens.learn(toldIds(placed))
  const ofPrompt = echo.promptLogprobs(prompt)
  if (ofPrompt !== undefined) await tokens.learn(toldIds({ tokenIds: request.prompts[prompt]!, logprobs: ofPrompt }))
  return {
    index,
    text: before + text,
    logprobs: wantsLogprobs
      ? completionLogprobs(tokens, placed, {
          text: before + text,
          offset: 0,
          asIds: body.return_tokens_as_token_ids === true,
        })
      : null,
    finish_reason: finishReasonOf(finishReason),
    ...(body.return_token_ids === true && { token_ids: tokenIds, prompt_token_ids: request.prompts[prompt] }),
    ...(ofPrompt !== undefined && {
      prompt_logprobs: ofPrompt.map((place, i) => promptPlace(place, request.prompts[prompt]![i]!, tokens)),
    }),
  }
}

/** An entry of vLLM's `prompt_logprobs`: by token id. */
function promptPlace(
  place: PlaceLogprobs | null,
  id: number,
  tokens: CompletionContext['request']['model']['served']['tokens'],
): object | null {
  if (place === null) return null
  const all = [{ tokenId: id, logprob: place.logprob }, ...place.top.filter(({ tokenId }) => tokenId !== id)]
  return Object.fromEntries(
    all.map(({ tokenId, logprob }) => [tokenId, { logprob, decoded_token: tokens.of(tokenId).text }]),
  )
}
