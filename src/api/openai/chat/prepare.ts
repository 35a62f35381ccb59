import type { ChosenModel } from '../../models/model-catalog.ts'
import type { TextRequest } from '../../generating/text-request.ts'
import { answerTokens, generationOptions } from '../generation-options.ts'
import { templateMessages } from './messages.ts'
import type { ChatRequest } from './request.ts'
import { toolUseOf } from './tools.ts'

/** The longest answer where the request sets no limit and the model does not either. */
export const USUAL_ANSWER_TOKENS = 4096

/** A chat as a request for texts. Throws an `ApiError`, `CHAT_TEMPLATE` and `USAGE`. */
export async function prepareChat(chosen: ChosenModel, body: ChatRequest): Promise<TextRequest> {
  const { served } = chosen
  const { chat } = served
  const { generation } = served.model.checkpoint
  const promptIds = await served.model.tokenizer!.encode(chatPrompt(chosen, body), { addSpecialTokens: false })
  const options = generationOptions(served, body, chat, {
    logprobs: body.logprobs ?? false,
    topLogprobs: body.top_logprobs ?? 0,
  })
  const maxNewTokens = answerTokens(served, promptIds.length, {
    asked: body.max_completion_tokens ?? body.max_tokens,
    usual: generation.options.maxNewTokens ?? USUAL_ANSWER_TOKENS,
    param: 'messages',
  })
  return { model: chosen, prompts: [promptIds], n: body.n ?? 1, options: { ...options, maxNewTokens } }
}

/** The text that the model continues. Throws `CHAT_TEMPLATE`. */
export function chatPrompt({ served }: ChosenModel, body: ChatRequest): string {
  const { template, templateText } = served.chat
  const { tools, choice } = toolUseOf(body)
  return template.render(templateMessages(body.messages, templateText), {
    addGenerationPrompt: body.add_generation_prompt,
    tools: choice === 'none' ? [] : tools,
    variables: {
      ...(body.reasoning_effort !== undefined && { reasoning_effort: body.reasoning_effort }),
      ...body.chat_template_kwargs,
    },
  })
}
