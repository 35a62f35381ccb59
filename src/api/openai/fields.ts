import { z } from 'zod'
import { badRequest } from '../errors/api-error.ts'
import { checkSize } from './request-size.ts'

/** A field that may be left out, or be null, which many clients send for the same. */
export function optional<T extends z.ZodType>(schema: T) {
  return schema.nullish().transform((value) => value ?? undefined)
}

const strings = z.array(z.string().min(1, 'must not be empty'))

/** Strings that end a text: one, or a few. */
const stop = z
  .union([z.string(), strings.max(16)], { error: 'must be a string or a list of strings that are not empty' })
  .transform((value) => (typeof value === 'string' ? (value === '' ? [] : [value]) : value))

const logitBias = z
  .record(z.string().regex(/^(?:0|[1-9]\d{0,8})$/, 'must be a token id'), z.number().min(-100).max(100))
  .transform((biases) => Object.fromEntries(Object.entries(biases).map(([id, bias]) => [Number(id), bias])))

const MAX_TEXTS = 128

/** How tokens are chosen, and what ends a text: OpenAI's fields, and those that vLLM and llama.cpp added. */
export const SAMPLING_FIELDS = {
  temperature: optional(z.number().min(0).max(2)),
  top_p: optional(z.number().min(0).max(1)),
  stop: optional(stop),
  logit_bias: optional(logitBias),
  presence_penalty: optional(z.number().min(-2).max(2)),
  frequency_penalty: optional(z.number().min(-2).max(2)),
  seed: optional(z.int()),
  top_k: optional(z.int().min(-1)),
  min_p: optional(z.number().min(0).max(1)),
  typical_p: optional(z.number().gt(0).max(1)),
  // Far smaller ones make logits infinite.
  repetition_penalty: optional(z.number().min(1e-3)),
  stop_token_ids: optional(z.array(z.int().min(0)).max(64)),
  ignore_eos: optional(z.boolean()),
  min_tokens: optional(z.int().min(0)),
  skip_special_tokens: optional(z.boolean()),
}

/** What all of OpenAI's requests for texts have in common. */
export const GENERATION_FIELDS = {
  ...SAMPLING_FIELDS,
  model: optional(z.string()),
  n: optional(z.int().min(1).max(MAX_TEXTS)),
  stream: optional(z.boolean()),
  stream_options: optional(z.object({ include_usage: optional(z.boolean()) })),
  return_token_ids: optional(z.boolean()),
  return_tokens_as_token_ids: optional(z.boolean()),
}

const GENERATION = z.object(GENERATION_FIELDS)
export type GenerationFields = z.output<typeof GENERATION>

/**
 * A request's fields, or those of its part `where`, checked. Unknown ones are passed over. Throws an `ApiError` that
 * names what is wrong.
 */
export function parseRequest<T extends z.ZodType>(schema: T, body: unknown, where?: string): z.output<T> {
  checkSize(schema, body)
  const { data, error } = schema.safeParse(body)
  if (error === undefined) return data
  const issue = innermost(error.issues[0]!)
  const param = pathText(where === undefined ? issue.path : [where, ...issue.path])
  throw badRequest(param === '' ? issue.message : `${param}: ${lower(issue.message)}`, param === '' ? undefined : param)
}

/**
 * What is really wrong: of a value that may have several forms, and has one of them but for a part of it, that part; of
 * a key, what keys must be.
 */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code === 'invalid_key') return { ...issue, message: issue.issues[0]?.message ?? issue.message }
  if (issue.code !== 'invalid_union') return issue
  const within = issue.errors.filter(([first]) => first !== undefined && first.path.length > 0)
  const [inner] = within.length === 1 ? within[0]! : []
  return inner === undefined ? issue : innermost({ ...inner, path: [...issue.path, ...inner.path] })
}

function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i === 0 ? '' : '.'}${String(part)}`))
    .join('')
}

function lower(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1)
}
