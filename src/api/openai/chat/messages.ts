import { z } from 'zod'
import type { TemplateMessage } from '../../../client/chat/messages.ts'
import { badRequest } from '../../errors/api-error.ts'
import { optional } from '../fields.ts'

const part = z.looseObject({ type: z.string(), text: optional(z.string()), refusal: optional(z.string()) })

const content = z.union([z.string(), z.array(part)], { error: 'must be a string or a list of parts' })

const functionCall = z.object({ name: z.string(), arguments: z.string() })

const message = z
  .looseObject({
    role: z.enum(['developer', 'system', 'user', 'assistant', 'tool', 'function'], {
      error: 'must be developer, system, user, assistant or tool',
    }),
    content: optional(content),
    name: optional(z.string()),
    reasoning_content: optional(z.string()),
    /** What vLLM calls it now. */
    reasoning: optional(z.string()),
    tool_call_id: optional(z.string()),
    tool_calls: optional(z.array(z.object({ id: optional(z.string()), function: functionCall })).max(128)),
    function_call: optional(functionCall),
  })
  .refine(({ role, content }) => content !== undefined || role === 'assistant' || role === 'function', {
    path: ['content'],
    error: 'must be a string or a list of parts',
  })
  .refine(({ role, tool_call_id }) => role !== 'tool' || tool_call_id !== undefined, {
    path: ['tool_call_id'],
    error: 'must be the id of the call that was answered',
  })

/** Types of parts that are text, also those that responses and reasoning models have. */
const TEXT_TYPES: ReadonlySet<string> = new Set(['text', 'refusal', 'input_text', 'output_text', 'thinking'])

/** The messages of a chat, in OpenAI's form. */
export const messages = z.array(message).min(1, 'must have at least one message')

export type Message = z.output<typeof message>

/** The messages as templates see them. Throws an `ApiError` for parts that are no text. */
export function templateMessages(all: readonly Message[], templateText: string): TemplateMessage[] {
  return all.map((each, i) => templateMessage(each, i, templateText))
}

function templateMessage(message: Message, i: number, templateText: string): TemplateMessage {
  const { role, name, tool_call_id, tool_calls, function_call } = message
  const calls = tool_calls ?? (function_call === undefined ? undefined : [{ id: undefined, function: function_call }])
  const reasoning = message.reasoning_content ?? message.reasoning
  return {
    role: knownRole(role, templateText),
    content: textOf(message.content, i),
    ...(name !== undefined && { name }),
    ...(tool_call_id !== undefined && { tool_call_id }),
    ...(reasoning !== undefined && { reasoning_content: reasoning }),
    ...(calls !== undefined && {
      tool_calls: calls.map((call) => ({
        ...(call.id !== undefined && { id: call.id }),
        type: 'function',
        function: { name: call.function.name, arguments: parsedArguments(call.function.arguments) },
      })),
    }),
  }
}

/** Few templates know roles that OpenAI added later. */
function knownRole(role: Message['role'], templateText: string): string {
  if (role === 'developer') return templateText.includes('developer') ? role : 'system'
  return role === 'function' ? 'tool' : role
}

function textOf(content: Message['content'], i: number): string {
  if (content === undefined) return ''
  if (typeof content === 'string') return content
  return content
    .map(({ type, text, refusal }, j) => {
      const found = type === 'refusal' ? refusal : text
      const isText = TEXT_TYPES.has(type)
      if (isText && found !== undefined) return found
      const where = `messages[${i}].content[${j}]`
      if (isText) throw badRequest(`${where}: has no text`, where)
      throw badRequest(
        `messages[${i}].content[${j}]: parts of type ${JSON.stringify(type.slice(0, 40))} are not taken: text only`,
        `messages[${i}].content[${j}].type`,
      )
    })
    .join('\n')
}

/** Templates print arguments themselves, as objects; what is no object is left as it came. */
function parsedArguments(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : text
  } catch {
    return text
  }
}
