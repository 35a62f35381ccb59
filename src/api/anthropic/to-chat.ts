import type { z } from 'zod'
import { badRequest } from '../errors/api-error.ts'
import type { FieldNames } from '../errors/field-names.ts'
import { CHAT_REQUEST, type ChatRequest } from '../openai/chat/request.ts'
import { parseRequest } from '../openai/fields.ts'
import {
  type Block,
  type Content,
  type CountRequest,
  type MessageRequest,
  thinking,
  toolResult,
  toolUse,
} from './request.ts'

/** A message of a chat, in OpenAI's form. */
type ChatMessage = Readonly<Record<string, unknown>> & { readonly role: string }

/** What Anthropic's form calls the fields of the chat that it becomes. */
export const MESSAGE_NAMES: FieldNames = [
  [/^tool_choice\.function/, 'tool_choice'],
  [/^stop(?=$|\[)/, 'stop_sequences'],
  [/^reasoning_effort/, 'output_config.effort'],
  [/^continue_final_message/, 'messages'],
  [/^response_format(\.json_schema)?/, 'output_config.format'],
  [/^(tools\[\d+\])\.function\.parameters/, '$1.input_schema'],
  [/^(tools\[\d+\])\.function/, '$1'],
]

/** A request in Anthropic's form as a chat in OpenAI's. Throws an `ApiError` for blocks that are no text. */
export function toChat(body: CountRequest & Partial<MessageRequest>): ChatRequest {
  const system: ChatMessage[] =
    body.system === undefined ? [] : [{ role: 'system', content: textOf(body.system, 'system') }]
  const { tools = [], tool_choice: choice } = body
  return parseRequest(CHAT_REQUEST, {
    model: body.model,
    messages: [...system, ...body.messages.flatMap(({ role, content }, i) => messagesOf(role, content, i))],
    max_tokens: body.max_tokens,
    stop: body.stop_sequences,
    temperature: body.temperature,
    top_p: body.top_p,
    top_k: body.top_k,
    ...(tools.length > 0 && {
      tools: tools.map(({ name, description, input_schema: parameters }) => ({
        type: 'function',
        function: { name, description, parameters },
      })),
    }),
    ...(choice !== undefined && {
      tool_choice: toolChoiceOf(choice),
      parallel_tool_calls: choice.disable_parallel_tool_use !== true,
    }),
    response_format: responseFormatOf(body),
    reasoning_effort: body.output_config?.effort,
    // What the assistant has begun to say is gone on with.
    continue_final_message: body.messages.at(-1)!.role === 'assistant',
    ...(body.thinking !== undefined && {
      chat_template_kwargs: { enable_thinking: body.thinking.type !== 'disabled' },
    }),
  })
}

function responseFormatOf({ output_config: config, output_format: older }: Partial<MessageRequest>): unknown {
  const format = config?.format ?? older
  if (format === undefined) return undefined
  return { type: 'json_schema', json_schema: { name: 'output', schema: format.schema, strict: true } }
}

function toolChoiceOf({ type, name }: NonNullable<CountRequest['tool_choice']>): unknown {
  if (type === 'any') return 'required'
  return type === 'tool' ? { type: 'function', function: { name } } : type
}

/** A turn of Anthropic's: results of tools come within what the user says. */
function messagesOf(role: string, content: Content, i: number): ChatMessage[] {
  if (typeof content === 'string') return [{ role, content }]
  const where = `messages[${i}].content`
  if (role === 'assistant') return [assistantMessage(content, where)]
  const results = blocksOf('tool_result', toolResult, content, where)
  const others = content.filter(({ type }) => type !== 'tool_result')
  return [
    ...results.map((block) => ({
      role: 'tool',
      tool_call_id: block.tool_use_id,
      content: textOf(block.content ?? '', where),
    })),
    ...(others.length > 0 ? [{ role, content: textOf(others, where) }] : []),
  ]
}

function assistantMessage(blocks: readonly Block[], where: string): ChatMessage {
  const thoughts = blocksOf('thinking', thinking, blocks, where)
  const uses = blocksOf('tool_use', toolUse, blocks, where)
  const others = blocks.filter(({ type }) => !['thinking', 'redacted_thinking', 'tool_use'].includes(type))
  return {
    role: 'assistant',
    content: textOf(others, where),
    ...(thoughts.length > 0 && { reasoning_content: thoughts.map((thought) => thought.thinking).join('\n') }),
    ...(uses.length > 0 && {
      tool_calls: uses.map((block) => ({
        id: block.id,
        type: 'function',
        function: { name: block.name, arguments: JSON.stringify(block.input ?? {}) },
      })),
    }),
  }
}

/** The blocks of one type. Throws an `ApiError` for one that lacks something. */
function blocksOf<T extends z.ZodType>(type: string, schema: T, blocks: readonly Block[], where: string) {
  return blocks.flatMap((block, i) => (block.type === type ? [parseRequest(schema, block, `${where}[${i}]`)] : []))
}

function textOf(content: Content, where: string): string {
  if (typeof content === 'string') return content
  return content
    .map(({ type, ...block }) => {
      if (type === 'text' && typeof block['text'] === 'string') return block['text']
      throw badRequest(`${where}: blocks of type ${JSON.stringify(type.slice(0, 40))} are not taken: text only`, where)
    })
    .join('\n')
}
