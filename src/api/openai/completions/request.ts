import { z } from 'zod'
import { badRequest } from '../../errors/api-error.ts'
import type { ServedModel } from '../../models/served-model.ts'
import { checkTextRoom } from '../../models/text-room.ts'
import { CONSTRAINT_FIELDS } from '../constraint.ts'
import { GENERATION_FIELDS, optional } from '../fields.ts'
import { checkIds } from '../generation-options.ts'
import { UNSERVED_FIELDS, unserved } from '../unserved.ts'

/** What is continued: a text, texts, token ids, or lists of them. */
export type PromptInput = string | readonly string[] | readonly number[] | readonly (readonly number[])[]

/** The most prompts of one request. */
const MAX_PROMPTS = 2048

/**
 * A prompt: a text, ids, or several of either. It is checked by hand: a list of ids may have a hundred thousand
 * entries, and each would be an object of a validator.
 */
export const promptInput = z.custom<PromptInput>(isPromptInput, {
  error: ({ input }) => {
    const wrong = Array.isArray(input) && typeof input[0] === 'number' ? input.find((id) => !isId(id)) : undefined
    if (wrong !== undefined) return `${JSON.stringify(wrong).slice(0, 40)} is no token id: give whole numbers from 0`
    return `must be a string, a list of token ids, or a list of at most ${MAX_PROMPTS} of these`
  },
})

/** The body of a completion, in OpenAI's form. */
export const COMPLETION_REQUEST = z.object({
  ...GENERATION_FIELDS,
  ...CONSTRAINT_FIELDS,
  ...UNSERVED_FIELDS,
  prompt: promptInput,
  prompt_embeds: unserved('is not taken here: give a text or token ids'),
  max_tokens: optional(z.int().min(0)),
  echo: optional(z.boolean()),
  logprobs: optional(z.int().min(0).max(20)),
  prompt_logprobs: optional(z.int().min(0).max(20)),
  best_of: optional(z.int().min(1).max(20)),
  suffix: optional(z.string()),
  add_special_tokens: optional(z.boolean()),
})

export type CompletionRequest = z.output<typeof COMPLETION_REQUEST>

/** How prompts are read. */
export interface PromptOptions {
  /** Names the field in errors. */
  readonly param: string
  readonly addSpecialTokens?: boolean | undefined
  /** Ends the wait for a long text. */
  readonly signal?: AbortSignal | undefined
}

/**
 * The token ids of each prompt. Throws an `ApiError` for a text where the model has no tokenizer, for tokens that the
 * model does not have, and for a prompt without tokens, and the signal's reason.
 */
export async function promptIdsOf(
  { id, model, maxTokens }: ServedModel,
  input: PromptInput,
  { param, addSpecialTokens = true, signal }: PromptOptions,
): Promise<number[][]> {
  const { tokenizer, checkpoint } = model
  const prompts = isList(input) ? input : [input as string | readonly number[]]
  return Promise.all(
    prompts.map(async (prompt, i) => {
      const where = isList(input) ? `${param}[${i}]` : param
      if (typeof prompt === 'string' && tokenizer === undefined)
        throw badRequest(`${where}: ${id} has no tokenizer: give token ids`, param)
      if (typeof prompt === 'string') await checkTextRoom(tokenizer!, prompt, { maxTokens, param })
      const ids =
        typeof prompt === 'string' ? await tokenizer!.encode(prompt, { addSpecialTokens, signal }) : [...prompt]
      if (typeof prompt !== 'string') checkIds(where, ids, checkpoint.config.vocabSize)
      if (ids.length === 0) throw badRequest(`${where}: has no tokens: give at least one`, param)
      return ids
    }),
  )
}

function isPromptInput(value: unknown): boolean {
  if (typeof value === 'string') return true
  if (!Array.isArray(value) || value.length === 0) return false
  if (isIds(value)) return true
  return value.length <= MAX_PROMPTS && (value.every((each) => typeof each === 'string') || value.every(isIds))
}

function isIds(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isId)
}

function isId(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isList(input: PromptInput): input is readonly string[] | readonly (readonly number[])[] {
  return typeof input !== 'string' && typeof input[0] !== 'number'
}
