import { z } from 'zod'
import type { AnswerEnd } from '../../generating/answer.ts'
import { badRequest } from '../../errors/api-error.ts'
import { optional } from '../fields.ts'

/** Longer than OpenAI's 64: Anthropic's have 128, and those of a namespace begin with its name. */
const FUNCTION_NAME = z.string().regex(/^[\w.-]{1,256}$/, 'must be 1 to 256 letters, digits and _ . -')

/** A function as a model may call it. */
const toolFunction = z.looseObject({
  name: FUNCTION_NAME,
  description: optional(z.string()),
  parameters: optional(z.record(z.string(), z.unknown())),
})

const tool = z.object({ type: z.literal('function', { error: 'must be "function"' }), function: toolFunction })

const toolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.object({ type: z.literal('function'), function: z.object({ name: FUNCTION_NAME }) }),
  ],
  { error: 'must be "none", "auto", "required" or the name of a function' },
)

/** OpenAI's fields for tools, and those that came before them. */
export const TOOL_FIELDS = {
  tools: optional(
    z
      .array(tool)
      .max(128)
      .refine((tools) => areDistinct(tools.map((each) => each.function.name)), 'must have different names'),
  ),
  tool_choice: optional(toolChoice),
  parallel_tool_calls: optional(z.boolean()),
  functions: optional(
    z
      .array(toolFunction)
      .max(128)
      .refine((functions) => areDistinct(functions.map(({ name }) => name)), 'must have different names'),
  ),
  function_call: optional(
    z.union([z.enum(['none', 'auto']), z.object({ name: FUNCTION_NAME })], {
      error: 'must be "none", "auto" or the name of a function',
    }),
  ),
}

const fields = z.object(TOOL_FIELDS)
type ToolFields = z.output<typeof fields>

export type Tool = NonNullable<ToolFields['tools']>[number]
export type ToolChoice = NonNullable<ToolFields['tool_choice']>

/** The tools of a request, whichever way it names them. */
export interface ToolUse {
  readonly tools: readonly Tool[]
  readonly choice: ToolChoice
  readonly parallel: boolean
}

/** Throws an `ApiError` for a request that names its tools in both ways. */
export function toolUseOf({ tools, functions = [], ...fields }: ToolFields): ToolUse {
  const all = tools ?? functions.map((each): Tool => ({ type: 'function', function: each }))
  const older = fields.function_call
  if (tools !== undefined && functions.length > 0)
    throw badRequest('functions: give either tools or these', 'functions')
  if (fields.tool_choice !== undefined && older !== undefined)
    throw badRequest('function_call: give either tool_choice or this', 'function_call')
  const choice =
    fields.tool_choice ??
    (typeof older === 'object' ? { type: 'function' as const, function: older } : older) ??
    (all.length > 0 ? 'auto' : 'none')
  return { tools: all, choice, parallel: fields.parallel_tool_calls ?? tools !== undefined }
}

function areDistinct(names: readonly string[]): boolean {
  return new Set(names).size === names.length
}

/** Whether a request is from a client that knows functions only, the form before tools. */
export function isOfFunctions({ tools, functions }: Pick<ToolFields, 'tools' | 'functions'>): boolean {
  return tools === undefined && functions !== undefined
}

/** Why an answer ended, in the words of the form that the request has. */
export function endOf(body: Pick<ToolFields, 'tools' | 'functions'>, end: AnswerEnd): string {
  return end === 'tool_calls' && isOfFunctions(body) ? 'function_call' : end
}
