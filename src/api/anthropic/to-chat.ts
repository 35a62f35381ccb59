import { badRequest } from '../errors/api-error.ts'
import { CHAT_REQUEST, type ChatRequest } from '../openai/chat/request.ts'
import { parseRequest } from '../openai/fields.ts'
import type { Block, Content, CountRequest, MessageRequest } from './request.ts'

/** A message of a chat, in OpenAI's form. */
type ChatMessage = Readonly<Record<string, unknown>> & { readonly role: string }

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
    ...(body.thinking !== undefined && {
      chat_template_kwargs: { enable_thinking: body.thinking.type !== 'disabled' },
    }),
  })
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
  const results = content.filter(({ type }) => type === 'tool_result')
  const others = content.filter(({ type }) => type !== 'tool_result')
  return [
    ...results.map((block) => ({
      role: 'tool',
      tool_call_id: String(block['tool_use_id'] ?? ''),
      content: textOf(contentOf(block['content'], where), where),
    })),
    ...(others.length > 0 ? [{ role, content: textOf(others, where) }] : []),
  ]
}

function assistantMessage(blocks: readonly Block[], where: string): ChatMessage {
  const thinking = blocks.filter(({ type }) => type === 'thinking').map((block) => String(block['thinking'] ?? ''))
  const uses = blocks.filter(({ type }) => type === 'tool_use')
  const others = blocks.filter(({ type }) => !['thinking', 'redacted_thinking', 'tool_use'].includes(type))
  return {
    role: 'assistant',
    content: textOf(others, where),
    ...(thinking.length > 0 && { reasoning_content: thinking.join('\n') }),
    ...(uses.length > 0 && {
      tool_calls: uses.map((block) => ({
        id: String(block['id'] ?? ''),
        type: 'function',
        function: { name: String(block['name'] ?? ''), arguments: JSON.stringify(block['input'] ?? {}) },
      })),
    }),
  }
}

/** What a result of a tool has for content: a text, blocks, or nothing. */
function contentOf(value: unknown, where: string): Content {
  if (value === undefined || value === null) return ''
  if (typeof value === 'string') return value
  if (Array.isArray(value) && value.every((block) => typeof block === 'object' && block !== null && 'type' in block))
    return value as Block[]
  throw badRequest(`${where}: the content of a result must be a string or a list of blocks`, where)
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
