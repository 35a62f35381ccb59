/** How fast one block is computed; 0 while that is not known. */
export interface BlockRates {
  /** Tokens per second of a prefill. */
  readonly prefill: number
  /** Steps per second of one session's decoding. */
  readonly decode: number
}

/** Steps of at least so many tokens count as prefills. */
export const PREFILL_TOKENS = 16

/** How long a step of these rates takes in seconds, 0 if they are not known. */
export function stepSeconds(tokens: number, numBlocks: number, { prefill, decode }: BlockRates): number {
  const rate = tokens >= PREFILL_TOKENS ? prefill / tokens : decode / tokens
  return rate > 0 ? numBlocks / rate : 0
}
