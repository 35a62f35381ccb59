import { z } from 'zod'
import { optional } from '../openai/fields.ts'
import { unserved } from '../openai/unserved.ts'

const block = z.looseObject({ type: z.string() })

export const content = z.union([z.string(), z.array(block)], { error: 'must be a string or a list of blocks' })

/** What may be missing in others' conversations, but is never something else. */
export const toolUse = z.looseObject({
  id: z.string(),
  name: z.string(),
  input: optional(z.record(z.string(), z.unknown())),
})
export const toolResult = z.looseObject({ tool_use_id: z.string(), content: optional(content) })
export const thinking = z.looseObject({ thinking: z.string() })

const tool = z.looseObject({
  /** Anthropic runs tools of other types itself. */
  type: optional(z.literal('custom', { error: 'is run by Anthropic only: offer tools of your own, and run them' })),
  name: z.string(),
  description: optional(z.string()),
  input_schema: optional(z.record(z.string(), z.unknown())),
})

const toolChoice = z.object({
  type: z.enum(['auto', 'any', 'tool', 'none']),
  name: optional(z.string()),
  disable_parallel_tool_use: optional(z.boolean()),
})

/** Edits of a long conversation: of those that clear parts of it none is applied, and answers say so. */
const contextManagement = z.looseObject({
  edits: optional(
    z.array(
      z.looseObject({
        type: z.string().startsWith('clear_', 'is not done here: clear_... edits are taken, and never applied'),
      }),
    ),
  ),
})

const servers = z.array(z.unknown()).max(0, 'are not asked here: offer their tools as your own')

const format = z.object({
  type: z.literal('json_schema', { error: 'must be "json_schema"' }),
  schema: z.record(z.string(), z.unknown()),
})

/** What is answered, in Anthropic's form. */
const PROMPT_FIELDS = {
  model: optional(z.string()),
  system: optional(content),
  messages: z.array(z.object({ role: z.enum(['user', 'assistant', 'system']), content })).min(1),
  tools: optional(z.array(tool).max(128)),
  tool_choice: optional(toolChoice),
  thinking: optional(z.looseObject({ type: z.enum(['enabled', 'adaptive', 'disabled']) })),
  output_config: optional(z.looseObject({ format: optional(format), effort: optional(z.string()) })),
  mcp_servers: optional(servers),
  container: unserved('there are none here: offer tools of your own, and run them'),
  context_management: optional(contextManagement),
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
  /** What `output_config.format` was called before. */
  output_format: optional(format),
})

/** The body of a question for the number of tokens. */
export const COUNT_REQUEST = z.object(PROMPT_FIELDS)

export type CountRequest = z.output<typeof COUNT_REQUEST>
export type MessageRequest = z.output<typeof MESSAGE_REQUEST>
export type Block = z.output<typeof block>
export type Content = z.output<typeof content>
