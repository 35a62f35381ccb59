import type { PlaceLogprobs } from '../../sampling/token-logprobs.ts'
import type { TokenTexts } from '../models/token-texts.ts'

/** Tokens of a text with their log-probabilities, which may be more than one chunk's. */
export interface ScoredTokens {
  readonly tokenIds: readonly number[]
  readonly logprobs: readonly PlaceLogprobs[]
}

/** What is told for the log-probability of what cannot be: JSON has no -Infinity. */
const LEAST = -9999

/** Learns the texts of all tokens that are told of. */
export async function learnTokens(tokens: TokenTexts, { tokenIds, logprobs }: ScoredTokens): Promise<void> {
  await tokens.learn([...tokenIds, ...logprobs.flatMap(({ top }) => top.map(({ tokenId }) => tokenId))])
}

/** The entries of a chat's `logprobs.content`. The tokens must have been learned. */
export function chatLogprobs(tokens: TokenTexts, { tokenIds, logprobs }: ScoredTokens): object[] {
  return tokenIds.map((id, i) => ({
    ...entry(tokens, id, logprobs[i]!.logprob),
    top_logprobs: logprobs[i]!.top.map(({ tokenId, logprob }) => entry(tokens, tokenId, logprob)),
  }))
}

function entry(tokens: TokenTexts, id: number, logprob: number): object {
  const { text, bytes } = tokens.of(id)
  return { token: text, logprob: told(logprob), bytes }
}

export function told(logprob: number): number {
  return Math.max(logprob, LEAST)
}
