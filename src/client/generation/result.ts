export interface GenerationChunk {
  readonly tokenIds: number[]
  /** May be '' while a character is incomplete or a stop string may begin. */
  readonly text: string
}

/**
 * - `length`: all of `maxNewTokens` were generated
 * - `eos`: the last token ends the text
 * - `stop`: the last token completed a stop string
 * - `criterion`: one of the stopping criteria said so
 * - `time`: the last token came after `maxTimeMs`
 * - `aborted`: the signal
 */
export type FinishReason = 'length' | 'eos' | 'stop' | 'criterion' | 'time' | 'aborted'

export interface GenerationResult {
  readonly promptIds: number[]
  /** All that were generated, with the EOS and those of a stop string. */
  readonly tokenIds: number[]
  /** Of each generated token, under the model itself: before all processors. Empty unless asked for. */
  readonly logprobs: number[]
  /** Without the EOS and the stop string: the chunks' texts, joined. */
  readonly text: string
  readonly finishReason: FinishReason
  /**
   * Of a beam: the sum of its log-probabilities after all processors, divided by its length to the power of
   * `lengthPenalty`.
   */
  readonly score?: number
  readonly seconds: number
  /** Until the first logits; 0 where there were none. */
  readonly prefillSeconds: number
}
