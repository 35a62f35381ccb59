import { badRequest } from '../../errors/api-error.ts'
import { CHAT_REQUEST, type ChatRequest } from '../chat/request.ts'
import { SAMPLING_FIELDS, parseRequest } from '../fields.ts'
import type { FieldNames } from '../../errors/field-names.ts'
import type { Item, ResponseRequest, Text } from './request.ts'
import { flatName, offeredFunctions } from './tools.ts'

/** A message of a chat, in the form of chat completions. */
type ChatMessage = Readonly<Record<string, unknown>> & { readonly role: string }

/** A call of a tool, which belongs to the message before it. */
interface Call {
  readonly id: string
  readonly function: { readonly name: string; readonly arguments: string }
}

/** What responses call the fields of the chats that they become. */
const RESPONSE_NAMES: FieldNames = [
  [/^messages.*/, 'input'],
  [/^tool_choice\.function/, 'tool_choice'],
  [/^max_completion_tokens/, 'max_output_tokens'],
  [/^reasoning_effort/, 'reasoning.effort'],
  [/^response_format(\.json_schema)?/, 'text.format'],
]

/** What a response calls the fields of the chat that it becomes: of its tools, each has a place of its own. */
export function namesOf(body: ResponseRequest): FieldNames {
  const tools = offeredFunctions(body).map(({ path }, i) => [new RegExp(`^tools\\[${i}\\]\\.function`), path] as const)
  return [...RESPONSE_NAMES, ...tools]
}

/** A response as a chat. Throws an `ApiError` for what is kept nowhere, and for parts that are no text. */
export function toChat(body: ResponseRequest): ChatRequest {
  refuseKept(body)
  const instructions = body.instructions === undefined ? [] : [{ role: 'system', content: body.instructions }]
  const items: readonly Item[] = typeof body.input === 'string' ? [messageItem(body.input)] : body.input
  const functions = offeredFunctions(body)
  return parseRequest(CHAT_REQUEST, {
    ...samplingOf(body),
    model: body.model,
    messages: [...instructions, ...messagesOf(items)],
    max_completion_tokens: body.max_output_tokens,
    chat_template_kwargs: body.chat_template_kwargs,
    reasoning_effort: body.reasoning?.effort,
    parallel_tool_calls: body.parallel_tool_calls,
    ...(functions.length > 0 && {
      tools: functions.map((each) => {
        const { description, parameters, strict } = each.tool
        return { type: 'function', function: { name: flatName(each), description, parameters, strict } }
      }),
    }),
    tool_choice: toolChoiceOf(body.tool_choice),
    response_format: responseFormatOf(body),
  })
}

/** Fields that chats have under the same names. */
function samplingOf(body: ResponseRequest): object {
  const names = Object.keys(SAMPLING_FIELDS) as (keyof typeof SAMPLING_FIELDS)[]
  return Object.fromEntries(names.map((name) => [name, body[name]]))
}

/** Nothing is kept here from one request to the next. */
function refuseKept(body: ResponseRequest): void {
  for (const field of ['previous_response_id', 'conversation'] as const)
    if (body[field] !== undefined)
      throw badRequest(`${field}: responses are not kept here: send the whole conversation as input`, field)
  if (body.background === true) throw badRequest('background: responses are only given at once', 'background')
}

function toolChoiceOf(choice: ResponseRequest['tool_choice']): unknown {
  if (typeof choice !== 'object') return choice
  const { name, namespace } = choice
  return { type: 'function', function: { name: name === undefined ? name : flatName({ name, namespace }) } }
}

function responseFormatOf({ text }: ResponseRequest): unknown {
  const format = text?.format
  if (format === undefined) return undefined
  const { type, ...schema } = format
  return type === 'json_schema' ? { type, json_schema: schema } : { type }
}

function messageItem(content: string): Item {
  return { type: 'message', role: 'user', content } as Item
}

/** What items of a type must have. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  message: ['content'],
  function_call: ['call_id', 'name', 'arguments'],
  function_call_output: ['call_id', 'output'],
}

/** Calls of tools, and what was thought, become parts of one assistant message. */
function messagesOf(items: readonly Item[]): ChatMessage[] {
  const messages: ChatMessage[] = []
  let calls: Call[] = []
  let reasoning = ''
  const assistant = (content: string): void => {
    messages.push({
      role: 'assistant',
      content,
      ...(reasoning !== '' && { reasoning_content: reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    })
    calls = []
    reasoning = ''
  }
  const flush = (): void => {
    if (calls.length > 0 || reasoning !== '') assistant('')
  }
  for (const [i, item] of items.entries()) {
    const { type = 'message', role = 'user', content = '' } = item
    const where = `input[${i}]`
    const lacking = (NEEDED[type] ?? []).find((field) => item[field] === undefined)
    if (lacking !== undefined) throw badRequest(`${where}.${lacking}: is missing`, `${where}.${lacking}`)
    if (type === 'function_call') {
      calls.push({
        id: item.call_id ?? '',
        function: {
          name: flatName({ name: item.name ?? '', namespace: item.namespace }),
          arguments: item.arguments ?? '',
        },
      })
      continue
    }
    if (type === 'reasoning') {
      reasoning += textOf(content, `${where}.content`)
      continue
    }
    if (type === 'message' && role === 'assistant') {
      assistant(textOf(content, `${where}.content`))
      continue
    }
    flush()
    if (type === 'message') messages.push({ role, content: textOf(content, `${where}.content`) })
    else if (type === 'function_call_output')
      messages.push({ role: 'tool', tool_call_id: item.call_id, content: textOf(item.output ?? '', `${where}.output`) })
    else throw badRequest(`${where}: items of type ${JSON.stringify(type.slice(0, 40))} are not taken`, `${where}.type`)
  }
  flush()
  return mergeCalls(messages)
}

/** A model's text and the calls that follow it are one message. */
function mergeCalls(messages: readonly ChatMessage[]): ChatMessage[] {
  const merged: ChatMessage[] = []
  for (const message of messages) {
    const last = merged.at(-1)
    const goesOn = message['content'] === '' && message['tool_calls'] !== undefined
    if (last?.role === 'assistant' && message.role === 'assistant' && goesOn && last['tool_calls'] === undefined)
      merged[merged.length - 1] = { ...last, tool_calls: message['tool_calls'] }
    else merged.push(message)
  }
  return merged
}

const TEXT_TYPES: ReadonlySet<string> = new Set([
  'input_text',
  'output_text',
  'reasoning_text',
  'summary_text',
  'refusal',
  'text',
])

function textOf(text: Text, where: string): string {
  if (typeof text === 'string') return text
  return text
    .map((part) => {
      const found = part.type === 'refusal' ? part['refusal'] : part['text']
      if (TEXT_TYPES.has(part.type) && typeof found === 'string') return found
      throw badRequest(
        `${where}: parts of type ${JSON.stringify(part.type.slice(0, 40))} are not taken: text only`,
        where,
      )
    })
    .join('\n')
}
