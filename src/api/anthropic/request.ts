import { z } from 'zod'
import { optional } from '../openai/fields.ts'

const block = z.looseObject({ type: z.string() })

const content = z.union([z.string(), z.array(block)], { error: 'must be a string or a list of blocks' })

const tool = z.looseObject({
  name: z.string(),
  description: optional(z.string()),
  input_schema: optional(z.record(z.string(), z.unknown())),
})

const toolChoice = z.object({
  type: z.enum(['auto', 'any', 'tool', 'none']),
  name: optional(z.string()),
  disable_parallel_tool_use: optional(z.boolean()),
})

/** What is answered, in Anthropic's form. */
const PROMPT_FIELDS = {
  model: optional(z.string()),
  system: optional(content),
  messages: z.array(z.object({ role: z.enum(['user', 'assistant', 'system']), content })).min(1),
  tools: optional(z.array(tool).max(128)),
  tool_choice: optional(toolChoice),
  thinking: optional(z.looseObject({ type: z.string() })),
}

/** The body of a message that is asked for. */
export const MESSAGE_REQUEST = z.object({
  ...PROMPT_FIELDS,
  max_tokens: z.int().min(1),
  stream: optional(z.boolean()),
  stop_sequences: optional(z.array(z.string().min(1)).max(16)),
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  top_k: optional(z.int().min(0)),
})

/** The body of a question for the number of tokens. */
export const COUNT_REQUEST = z.object(PROMPT_FIELDS)

export type CountRequest = z.output<typeof COUNT_REQUEST>
export type MessageRequest = z.output<typeof MESSAGE_REQUEST>
export type Block = z.output<typeof block>
export type Content = z.output<typeof content>
