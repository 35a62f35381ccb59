import type { GenerationOptions } from '../../sampling/options/options.ts'
import type { ServedModel } from '../models/served-model.ts'
import { badRequest } from '../errors/api-error.ts'
import type { GenerationFields } from './fields.ts'

/** What ends a text, besides what the request says. */
export interface Endings {
  readonly eosTokenIds: readonly number[]
  readonly stopStrings: readonly string[]
}

/** What a request says of log-probabilities. */
export interface LogprobsChoice {
  readonly logprobs: boolean
  readonly topLogprobs: number
}

/**
 * The options of generation for a request's fields. What it leaves open is as vLLM has it: the model's own
 * generation_config.json, else OpenAI's defaults (draws at temperature 1 from all tokens). Throws an `ApiError` for
 * tokens that the model does not have.
 */
export function generationOptions(
  { model }: ServedModel,
  fields: GenerationFields,
  endings: Endings,
  { logprobs, topLogprobs }: LogprobsChoice,
): GenerationOptions {
  const own = model.checkpoint.generation.options
  const { vocabSize } = model.checkpoint.config
  const stopTokenIds = fields.stop_token_ids ?? []
  checkIds('logit_bias', Object.keys(fields.logit_bias ?? {}).map(Number), vocabSize)
  checkIds('stop_token_ids', stopTokenIds, vocabSize)
  const stopStrings = [...endings.stopStrings, ...(fields.stop ?? [])]
  if (stopStrings.length > 0 && model.tokenizer === undefined)
    throw badRequest('stop: the model has no tokenizer; give stop_token_ids', 'stop')
  return {
    temperature: fields.temperature ?? own.temperature ?? 1,
    topP: fields.top_p ?? own.topP ?? 1,
    topK: Math.max(0, fields.top_k ?? own.topK ?? 0),
    minP: fields.min_p ?? own.minP,
    typicalP: fields.typical_p ?? own.typicalP,
    repetitionPenalty: fields.repetition_penalty ?? own.repetitionPenalty,
    presencePenalty: fields.presence_penalty,
    frequencyPenalty: fields.frequency_penalty,
    logitBias: fields.logit_bias,
    seed: fields.seed,
    minNewTokens: fields.min_tokens,
    eosTokenIds: [...(fields.ignore_eos === true ? [] : endings.eosTokenIds), ...stopTokenIds],
    stopStrings,
    skipSpecialTokens: fields.skip_special_tokens,
    ...(logprobs && { logprobs, topLogprobs }),
  }
}

/** Throws an `ApiError` for options of a stream where none is asked for. */
export function checkStreamOptions({ stream, stream_options: options }: GenerationFields): void {
  if (options !== undefined && stream !== true)
    throw badRequest('stream_options: are for streams: set stream to true', 'stream_options')
}

/** Throws an `ApiError` for token ids that a model does not have; `param` names the field. */
export function checkIds(param: string, ids: readonly number[], vocabSize: number): void {
  const unknown = ids.find((id) => id >= vocabSize)
  if (unknown !== undefined)
    throw badRequest(
      `${param}: ${unknown} is no token: this model has 0 to ${vocabSize - 1}`,
      param,
      'invalid_token_id',
    )
}

/** How long an answer is to be. */
export interface AskedLength {
  /** The most tokens, where the request says so. */
  readonly asked: number | undefined
  readonly usual: number
  /** The least tokens. */
  readonly least?: number | undefined
  /** The field that a prompt which is too long came in. */
  readonly param: string
}

/**
 * How many tokens an answer may have: `asked` for, or else `usual`, which may be cut to what the model has room for.
 * Throws an `ApiError` where the prompt, or the prompt with what was asked for, is longer than the model takes.
 */
export function answerTokens(
  { maxTokens }: ServedModel,
  promptTokens: number,
  { asked, usual, param, least = 0 }: AskedLength,
): number {
  if (asked !== undefined && least > asked)
    throw badRequest(`min_tokens: ${least} are more than the ${asked} tokens that the answer may have`, 'min_tokens')
  const room = maxTokens - promptTokens
  if (room >= Math.max(asked ?? 1, 0)) return asked ?? Math.min(usual, room)
  throw badRequest(
    `This model's maximum context length is ${maxTokens} tokens. However, you requested ` +
      `${promptTokens + (asked ?? 1)} tokens (${promptTokens} in the prompt, ${asked ?? 1} in the completion). ` +
      'Shorten the prompt, or ask for fewer tokens.',
    param,
    'context_length_exceeded',
  )
}
