import { z } from 'zod'
import { CONSTRAINT_FIELDS } from '../constraint.ts'
import { GENERATION_FIELDS, optional } from '../fields.ts'
import { UNSERVED_CHAT_FIELDS } from '../unserved.ts'
import { messages } from './messages.ts'
import { TOOL_FIELDS } from './tools.ts'

/** The body of a chat completion, in OpenAI's form. */
export const CHAT_REQUEST = z.object({
  ...GENERATION_FIELDS,
  ...TOOL_FIELDS,
  ...CONSTRAINT_FIELDS,
  ...UNSERVED_CHAT_FIELDS,
  messages,
  max_completion_tokens: optional(z.int().min(1)),
  /** What `max_completion_tokens` was called before. */
  max_tokens: optional(z.int().min(1)),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.int().min(0).max(20)),
  chat_template_kwargs: optional(z.record(z.string(), z.unknown())),
  add_generation_prompt: optional(z.boolean()),
  /** Whether the answer goes on from the last message, which is the assistant's. */
  continue_final_message: optional(z.boolean()),
  reasoning_effort: optional(z.string()),
})

export type ChatRequest = z.output<typeof CHAT_REQUEST>
