import { z } from 'zod'
import { SAMPLING_FIELDS, optional } from '../fields.ts'
import { unserved } from '../unserved.ts'

const part = z.looseObject({ type: z.string() })

const text = z.union([z.string(), z.array(part)], { error: 'must be a string or a list of parts' })

/** A message, a call of a tool, what it gave, or what the model thought. */
const item = z.looseObject({
  type: optional(z.string()),
  role: optional(z.enum(['user', 'assistant', 'system', 'developer'])),
  content: optional(text),
  call_id: optional(z.string()),
  name: optional(z.string()),
  namespace: optional(z.string()),
  arguments: optional(z.string()),
  output: optional(text),
})

const functionTool = z.looseObject({
  type: z.string(),
  name: optional(z.string()),
  description: optional(z.string()),
  parameters: optional(z.record(z.string(), z.unknown())),
  strict: optional(z.boolean()),
})

/** A function, or some of one namespace. */
const tool = functionTool.extend({ tools: optional(z.array(functionTool).max(128)) })

const toolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.looseObject({ type: z.string(), name: optional(z.string()), namespace: optional(z.string()) }),
  ],
  { error: 'must be "none", "auto", "required" or the name of a function' },
)

const format = z.looseObject({
  type: z.enum(['text', 'json_object', 'json_schema']),
  name: optional(z.string()),
  schema: optional(z.record(z.string(), z.unknown())),
  strict: optional(z.boolean()),
})

const LOGPROBS = 'log-probabilities are not told here: ask /v1/chat/completions'

function hasNoLogprobs(include: readonly string[]): boolean {
  return !include.includes('message.output_text.logprobs')
}

/** What chat completions call their fields, and how many answers they give. */
const MOVED_FIELDS = {
  messages: unserved('are called input here'),
  max_tokens: unserved('is called max_output_tokens here'),
  max_completion_tokens: unserved('is called max_output_tokens here'),
  n: unserved('is not known here: a response is one answer', 1),
  reasoning_effort: unserved('is called reasoning.effort here'),
  response_format: unserved('is called text.format here'),
}

/** The body of a response that is asked for, in OpenAI's form. */
export const RESPONSE_REQUEST = z.object({
  ...SAMPLING_FIELDS,
  ...MOVED_FIELDS,
  model: optional(z.string()),
  input: z.union([z.string(), z.array(item).min(1)], { error: 'must be a string or a list of items' }),
  instructions: optional(z.string()),
  max_output_tokens: optional(z.int().min(1)),
  chat_template_kwargs: optional(z.record(z.string(), z.unknown())),
  stream: optional(z.boolean()),
  tools: optional(z.array(tool).max(128)),
  tool_choice: optional(toolChoice),
  parallel_tool_calls: optional(z.boolean()),
  text: optional(z.looseObject({ format: optional(format) })),
  reasoning: optional(z.looseObject({ effort: optional(z.string()) })),
  previous_response_id: optional(z.string()),
  conversation: optional(z.unknown()),
  background: optional(z.boolean()),
  include: optional(z.array(z.string()).refine(hasNoLogprobs, LOGPROBS)),
  /** The conversation is never cut: what does not fit is refused, as if this were `disabled`. */
  truncation: optional(z.enum(['auto', 'disabled'])),
  /** Of tools that OpenAI runs, of which there are none. */
  max_tool_calls: optional(z.int().min(1)),
  context_management: unserved('is not done here: send what the model has room for'),
  prompt: unserved('is kept nowhere here: send its text as instructions or input'),
  top_logprobs: unserved(LOGPROBS),
  metadata: optional(z.record(z.string(), z.unknown())),
  user: optional(z.string()),
})

export type ResponseRequest = z.output<typeof RESPONSE_REQUEST>
export type FunctionTool = z.output<typeof functionTool>
export type Item = z.output<typeof item>
export type Text = z.output<typeof text>
