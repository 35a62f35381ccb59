import type { TemplateMessage } from '../../../client/chat/messages.ts'
import { badRequest } from '../../errors/api-error.ts'
import type { ChatRequest } from './request.ts'

const PARAM = 'continue_final_message'

/** Throws an `ApiError` unless the last of a chat's messages is one that an answer can go on from. */
export function checkContinued({ add_generation_prompt: begins }: ChatRequest, messages: readonly TemplateMessage[]) {
  if (begins === true)
    throw badRequest(`${PARAM}: either the last message goes on, or another begins: leave add_generation_prompt`, PARAM)
  const { role, content, tool_calls: calls } = messages.at(-1)!
  if (role !== 'assistant' || content === null || content.trim() === '' || calls !== undefined)
    throw badRequest(`${PARAM}: the last message must be the assistant's, a text without calls of tools`, PARAM)
}

/** Words that no conversation has: where the template prints them, the message that is to be continued ends. */
const END = '[petals-node: the answer goes on here]'
/** A blank behind these, which is gone where the template trims messages. */
const BLANK = '\t'

/** A chat's messages with the end of the last one marked, to be printed for `upToEnd`. */
export function withEnd(messages: readonly TemplateMessage[]): TemplateMessage[] {
  const last = messages.at(-1)!
  return [...messages.slice(0, -1), { ...last, content: `${last.content}${END}${BLANK}` }]
}

/**
 * A chat's prompt up to the end of its last message's text, as it was marked by `withEnd`, without whatever its
 * template puts behind an answer; where the template trims messages, without the blanks at the end. The text itself
 * would not do: a short one may be a part of what the template puts behind it. Throws an `ApiError` for a template that
 * does not print the message.
 */
export function upToEnd(prompt: string): string {
  const end = prompt.lastIndexOf(END)
  if (end < 0) throw badRequest(`${PARAM}: the model's chat template does not print the last message`, PARAM)
  const printed = prompt.slice(0, end)
  return prompt.startsWith(BLANK, end + END.length) ? printed : printed.trimEnd()
}
