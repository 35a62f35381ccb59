/** A chunk counts as at least this share of the largest: also a few tokens read all weights. */
const LEAST_SHARE = 1 / 16

/**
 * What prefills may compute between two decode batches: the tokens of one full chunk, in one chunk or in several short
 * ones. Sessions that are opened at the same moment with short prompts then decode in step from their first token on.
 * With one prefill at a time each would be a token ahead of the next, in runs of a few rows at the beginning and again
 * at the end.
 */
export class PrefillTurn {
  readonly #chunkTokens: number
  #left = 0

  constructor(chunkTokens: number) {
    this.#chunkTokens = chunkTokens
  }

  /** Whether nothing of this turn was computed yet. */
  get isFresh(): boolean {
    return this.#left === this.#chunkTokens
  }

  /** A decode batch has been chosen: it is the prefills' turn. */
  begin(): void {
    this.#left = this.#chunkTokens
  }

  /** Whether a chunk of so many tokens still goes before the next decode batch. */
  allows(tokens: number): boolean {
    return this.#cost(tokens) <= this.#left
  }

  ran(tokens: number): void {
    this.#left = Math.max(0, this.#left - this.#cost(tokens))
  }

  #cost(tokens: number): number {
    return Math.max(tokens, LEAST_SHARE * this.#chunkTokens)
  }
}
