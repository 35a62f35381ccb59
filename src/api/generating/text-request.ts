import type { GenerationResult, GenerationChunk } from '../../client/generation/result.ts'
import type { GenerationOptions } from '../../sampling/options/options.ts'
import type { PlaceLogprobs } from '../../sampling/token-logprobs.ts'
import type { ChosenModel } from '../models/model-catalog.ts'

/** Texts that are wanted of a model. */
export interface TextRequest {
  readonly model: ChosenModel
  /** Token ids, each list with at least one. */
  readonly prompts: readonly (readonly number[])[]
  /** How many texts of each prompt. */
  readonly n: number
  /** `maxNewTokens` 0: the prompts are only scored. */
  readonly options: GenerationOptions & { readonly maxNewTokens: number }
  /** How many likeliest tokens are told in the place of each token of the prompts; undefined: nothing is. */
  readonly promptLogprobs?: number | undefined
  /** Told of each text that is complete. */
  readonly onText?: ((result: TextResult) => void) | undefined
}

/** What comes of a request. Texts are numbered by prompt and then by text: prompt * n + text. */
export type TextEvent =
  /** A prompt was scored: log-probabilities of all its tokens but the first. */
  | { readonly kind: 'prompt'; readonly prompt: number; readonly logprobs: readonly PlaceLogprobs[] }
  | { readonly kind: 'chunk'; readonly index: number; readonly chunk: GenerationChunk }
  | { readonly kind: 'end'; readonly index: number; readonly result: TextResult }

export interface TextResult extends GenerationResult {
  /** Tokens of the prompt that were not computed for this text, because the swarm still held them. */
  readonly cachedTokens: number
}
