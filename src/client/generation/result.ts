import type { PlaceLogprobs } from '../../sampling/token-logprobs.ts'

/** What one step of a generation adds. */
export interface GenerationChunk {
  readonly tokenIds: number[]
  /** May be '' while a character is incomplete or a stop string may have begun. */
  readonly text: string
  /** Of each token, if the option `logprobs` asks for them. */
  readonly logprobs?: readonly PlaceLogprobs[]
}

/**
 * Why a text ended:
 * - `length`: it reached `maxNewTokens`
 * - `eos`: its last token is an EOS token
 * - `stop`: its last token completed a stop string, or what a constraint asks for
 * - `criterion`: a stopping criterion returned true
 * - `time`: its last token came after `maxTimeMs`
 * - `aborted`: the signal was aborted
 */
export type FinishReason = 'length' | 'eos' | 'stop' | 'criterion' | 'time' | 'aborted'

/** A generated text. */
export interface GenerationResult {
  readonly promptIds: number[]
  /** All generated tokens, including the EOS token and those of a stop string. */
  readonly tokenIds: number[]
  /**
   * Each generated token's log-probability under the model itself, before logits processors; empty unless asked for.
   */
  readonly logprobs: number[]
  /** The text without EOS token and stop string: all chunks' texts joined. */
  readonly text: string
  readonly finishReason: FinishReason
  /** The stop string before which the text ended, if it ended so. */
  readonly stopString?: string
  /**
   * Of a beam search: the sum of log-probabilities after processors, divided by the length to the power of
   * `lengthPenalty`.
   */
  readonly score?: number
  /** Where tokens were drawn: with this seed the same prompt and options give this text again, by itself. */
  readonly seed?: number
  readonly seconds: number
  /** Seconds until the first logits; 0 if there were none. */
  readonly prefillSeconds: number
}
