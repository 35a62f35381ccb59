import { badRequest } from '../../errors/api-error.ts'
import type { TextRequest } from '../../generating/text-request.ts'
import type { ChosenModel } from '../../models/model-catalog.ts'
import { askedConstraint, checkAsked } from '../constraint.ts'
import { answerTokens, checkStreamOptions, generationOptions } from '../generation-options.ts'
import { type CompletionRequest, promptIdsOf } from './request.ts'

/** OpenAI's default length of a completion. */
const USUAL_TOKENS = 16

/** The most texts of one request. */
const MAX_CHOICES = 4096

/** A completion as a request for texts. Throws an `ApiError`, and the signal's reason. */
export async function prepareCompletion(
  chosen: ChosenModel,
  body: CompletionRequest,
  signal?: AbortSignal,
): Promise<TextRequest> {
  const { served } = chosen
  const { n = 1, best_of: bestOf = n, echo = false, stream = false, logprobs } = body
  checkStreamOptions(body)
  if (body.suffix !== undefined) throw badRequest('suffix: text is only written at the end of a prompt', 'suffix')
  if (bestOf < n) throw badRequest(`best_of: ${bestOf} is less than n, which is ${n}`, 'best_of')
  if (bestOf > n && stream) throw badRequest('best_of: cannot be streamed: the best is known at the end', 'best_of')
  const prompts = await promptIdsOf(served, body.prompt, {
    param: 'prompt',
    addSpecialTokens: body.add_special_tokens,
    signal,
  })
  if (prompts.length * bestOf > MAX_CHOICES)
    throw badRequest(`prompt: ${prompts.length * bestOf} texts are more than ${MAX_CHOICES}`, 'prompt')
  const maxTokens = body.max_tokens
  if (maxTokens === 0 && !echo && body.prompt_logprobs === undefined)
    throw badRequest('max_tokens: 0 is only of use with echo', 'max_tokens')
  const { eosTokenIds } = served.model.checkpoint.generation
  const options = generationOptions(
    served,
    body,
    { eosTokenIds, stopStrings: [] },
    {
      // To find the best, texts must be scored.
      logprobs: logprobs !== undefined || bestOf > n,
      topLogprobs: logprobs ?? 0,
    },
  )
  const longest = Math.max(...prompts.map(({ length }) => length))
  const maxNewTokens = answerTokens(served, longest, {
    asked: maxTokens,
    usual: USUAL_TOKENS,
    least: body.min_tokens,
    param: 'prompt',
  })
  const asked = askedConstraint(body)
  if (asked !== undefined) await checkAsked(asked, served.model.tokenizer)
  const promptLogprobs = body.prompt_logprobs ?? (echo ? logprobs : undefined)
  return {
    model: chosen,
    prompts,
    n: bestOf,
    options: { ...options, maxNewTokens, constraint: asked?.constraint },
    ...(promptLogprobs !== undefined && { promptLogprobs }),
  }
}
