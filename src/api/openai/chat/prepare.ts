import type { AnswerParser } from '../../../client/chat/answer/answer-parser.ts'
import type { ChosenModel } from '../../models/model-catalog.ts'
import { checkTextRoom, countedTokens } from '../../models/text-room.ts'
import type { TextRequest } from '../../generating/text-request.ts'
import { badRequest } from '../../errors/api-error.ts'
import { answerTokens, checkStreamOptions, generationOptions } from '../generation-options.ts'
import { answerFormOf } from './answer-form.ts'
import { checkContinued, upToEnd, withEnd } from './continued.ts'
import { templateMessages } from './messages.ts'
import type { ChatRequest } from './request.ts'
import { toolUseOf } from './tools.ts'

/** The longest answer where the request sets no limit and the model does not either. */
const USUAL_ANSWER_TOKENS = 4096

/** A chat as a request for texts, and what tells the parts of its answers. */
export interface PreparedChat {
  readonly request: TextRequest
  openParser(): AnswerParser
}

/** Throws an `ApiError`, `CHAT_TEMPLATE` and `USAGE`. */
export async function prepareChat(chosen: ChosenModel, body: ChatRequest, signal?: AbortSignal): Promise<PreparedChat> {
  const { served } = chosen
  const { chat } = served
  const { n = 1 } = body
  checkStreamOptions(body)
  if (body.logprobs !== true && (body.top_logprobs ?? 0) > 0)
    throw badRequest('top_logprobs: is told with logprobs: set it to true', 'top_logprobs')
  const { max_tokens: older, max_completion_tokens: newer = older } = body
  if (older !== undefined && newer !== older)
    throw badRequest(`max_tokens: ${older} is not max_completion_tokens, ${newer}: give one of them`, 'max_tokens')
  const { generation } = served.model.checkpoint
  const prompt = await chatPrompt(chosen, body, signal)
  await checkTextRoom(served.model.tokenizer!, prompt, { maxTokens: served.maxTokens, param: 'messages' })
  const known = await served.histories!.extend(prompt)
  const promptIds = known.ids
  const { constraint, skipSpecialTokens, openParser } = await answerFormOf(served, body, prompt)
  const options = generationOptions(served, body, chat, {
    logprobs: body.logprobs ?? false,
    topLogprobs: body.top_logprobs ?? 0,
  })
  const maxNewTokens = answerTokens(served, promptIds.length, {
    asked: newer,
    usual: generation.options.maxNewTokens ?? USUAL_ANSWER_TOKENS,
    least: body.min_tokens,
    param: 'messages',
  })
  return {
    request: {
      model: chosen,
      prompts: [promptIds],
      n,
      options: {
        ...options,
        maxNewTokens,
        constraint,
        skipSpecialTokens: skipSpecialTokens && body.skip_special_tokens !== false,
      },
      // What cannot be remembered is encoded again.
      ...(n === 1 && { onText: ({ text, tokenIds }) => void known.append(text, tokenIds).catch(() => undefined) }),
    },
    openParser,
  }
}

/**
 * The token ids that the model continues. Throws `CHAT_TEMPLATE`, and an `ApiError` for a model without a template, and
 * for what no model would take.
 */
export async function promptTokensOf(chosen: ChosenModel, body: ChatRequest, signal?: AbortSignal): Promise<number[]> {
  const { served } = chosen
  const tokenizer = served.model.tokenizer!
  const prompt = await chatPrompt(chosen, body, signal)
  await checkTextRoom(tokenizer, prompt, { maxTokens: countedTokens(served), param: 'messages' })
  return tokenizer.encode(prompt, { addSpecialTokens: false })
}

/**
 * The text that the model continues. Throws `CHAT_TEMPLATE`, the signal's reason, and an `ApiError` where a last
 * message is to be continued that cannot be.
 */
export async function chatPrompt({ served }: ChosenModel, body: ChatRequest, signal?: AbortSignal): Promise<string> {
  const { source, printer } = served.chat
  const { tools, choice } = toolUseOf(body)
  const messages = templateMessages(body.messages, source.text)
  const continues = body.continue_final_message === true
  if (continues) checkContinued(body, messages)
  const options = {
    addGenerationPrompt: continues ? false : body.add_generation_prompt,
    tools: choice === 'none' ? [] : tools,
    variables: {
      ...(body.reasoning_effort !== undefined && { reasoning_effort: body.reasoning_effort }),
      ...body.chat_template_kwargs,
    },
  }
  if (continues) return upToEnd(await printer.print(withEnd(messages), options, signal))
  return printer.print(messages, options, signal)
}
