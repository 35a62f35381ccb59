import { runTexts } from '../../generating/run.ts'
import { WholeAnswer } from '../../generating/whole-answer.ts'
import { chainOf, wantsChain } from '../chain.ts'
import { FINGERPRINT } from '../fingerprint.ts'
import { chatLogprobs, learnTokens } from '../logprobs.ts'
import { timingsOf, usageOf } from '../usage.ts'
import type { ChatContext } from './context.ts'
import { endOf, isOfFunctions } from './tools.ts'

/** Answers a chat when all of it is there. */
export async function sendChat(context: ChatContext): Promise<void> {
  const { modules, exchange, body, request, id, created } = context
  const answers = Array.from({ length: request.n }, () => new WholeAnswer(context.openParser()))
  const summary = await runTexts(modules, exchange, request, (event) => {
    if (event.kind !== 'prompt') answers[event.index]!.take(event)
  })
  if (body.logprobs === true)
    await Promise.all(answers.map((answer) => learnTokens(request.model.served.tokens, answer)))
  const reasoningTokens = answers.reduce((sum, { answer }) => sum + answer.reasoningTokens, 0)
  exchange.sendJson(200, {
    id,
    object: 'chat.completion',
    created,
    model: request.model.id,
    choices: answers.map((answer, index) => choiceOf(context, answer, index)),
    usage: usageOf(summary, reasoningTokens),
    system_fingerprint: FINGERPRINT,
    timings: timingsOf(summary),
    ...(body.return_token_ids === true && { prompt_token_ids: request.prompts[0] }),
    ...(wantsChain(exchange) && { petals: chainOf(summary) }),
  })
}

function choiceOf({ body, request }: ChatContext, answer: WholeAnswer, index: number): object {
  const { content, reasoning, toolCalls, tokenIds } = answer
  const calls = toolCalls.map(({ id, name, arguments: args }) => ({
    id,
    type: 'function',
    function: { name, arguments: args },
  }))
  const { tokens } = request.model.served
  return {
    index,
    message: {
      role: 'assistant',
      content: content === '' && calls.length > 0 ? null : content,
      refusal: null,
      ...(reasoning !== '' && { reasoning_content: reasoning }),
      ...(calls.length > 0 && callsOf(body, calls)),
    },
    logprobs: body.logprobs === true ? { content: chatLogprobs(tokens, answer), refusal: null } : null,
    finish_reason: endOf(body, answer.end),
    ...(body.return_token_ids === true && { token_ids: tokenIds }),
  }
}

/** Calls in the form in which the request named its tools. */
function callsOf(body: ChatContext['body'], calls: readonly { readonly function: object }[]): object {
  return isOfFunctions(body) ? { function_call: calls[0]!.function } : { tool_calls: calls }
}
