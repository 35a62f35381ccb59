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

/**
 * A chat's prompt up to the end of its last message's text, without whatever its template puts behind an answer; where
 * the template trims messages, without the blanks at the end. Throws an `ApiError` for a template that does not print
 * the message.
 */
export function upToFinalMessage(prompt: string, messages: readonly TemplateMessage[]): string {
  const content = messages.at(-1)!.content!
  const trimmed = content.trim()
  const begin = prompt.lastIndexOf(trimmed)
  if (begin < 0) throw badRequest(`${PARAM}: the model's chat template does not print the last message`, PARAM)
  const untrimmed = content.trimStart()
  return prompt.slice(0, begin + (prompt.startsWith(untrimmed, begin) ? untrimmed : trimmed).length)
}
