import type { Tokenizer } from '../../checkpoint/tokenizer/tokenizer.ts'
import { sizeOf } from '../../sampling/grammar/tokens/vocabulary.ts'
import { type ApiError, badRequest } from '../errors/api-error.ts'

/** Texts with fewer characters for each token of room are encoded without a further look: few tokens are longer. */
const USUAL_TOKEN_CHARS = 16

/** Texts of so many tokens may be counted, however few the model takes: who cuts texts to size asks for longer ones. */
const MIN_COUNTED_TOKENS = 32_768

/**
 * How many times shorter a tokenizer may make a text before it cuts it into tokens, by composing characters, say: none
 * does by so much.
 */
const MAX_SHORTENING = 4

/** How long a text may be that is only to be cut into tokens, or put together of them. */
export function countedTokens({ maxTokens }: { readonly maxTokens: number }): number {
  return Math.max(maxTokens, MIN_COUNTED_TOKENS)
}

/**
 * Refuses texts that cannot fit into `maxTokens` tokens, whatever their tokens are: to encode megabytes takes seconds,
 * for which other long texts wait. Throws an `ApiError`; `param` names the field.
 */
export async function checkTextRoom(
  tokenizer: Pick<Tokenizer, 'vocabulary'>,
  text: string,
  { maxTokens, param }: { readonly maxTokens: number; readonly param: string },
): Promise<void> {
  if (text.length <= maxTokens * USUAL_TOKEN_CHARS) return
  // Where tokens have no bytes of their own, their lengths are not known.
  const vocabulary = await tokenizer.vocabulary().catch(() => undefined)
  if (vocabulary === undefined) return
  const { starts } = vocabulary
  let longest = 1
  for (let id = 0; id < sizeOf(vocabulary); id++) longest = Math.max(longest, starts[id + 1]! - starts[id]!)
  const least = Math.ceil(text.length / (longest * MAX_SHORTENING))
  if (least > maxTokens)
    throw tooLong(maxTokens, `your text of ${text.length} characters has more than ${least}`, param)
}

/** As `checkTextRoom`, for tokens. */
export function checkTokenRoom(
  tokens: readonly number[],
  { maxTokens, param }: { readonly maxTokens: number; readonly param: string },
): void {
  if (tokens.length > maxTokens) throw tooLong(maxTokens, `these are ${tokens.length}`, param)
}

function tooLong(maxTokens: number, however: string, param: string): ApiError {
  const message = `This model's maximum context length is ${maxTokens} tokens. However, ${however}.`
  return badRequest(message, param, 'context_length_exceeded')
}
