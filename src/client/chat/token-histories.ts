import { type ChatTokenizer, TokenHistory } from './token-history.ts'

/** How many conversations are remembered, and by default how many characters of them together. */
const MAX_HISTORIES = 256
const MAX_LENGTH = 8 << 20

/** A conversation's text as tokens. */
export interface KnownText {
  readonly ids: number[]
  /** Notes the answer to it: its text, and the tokens that the model chose. */
  append(text: string, ids: readonly number[]): Promise<void>
}

/**
 * The tokens of many conversations, for a server that is told each time all that was said: a text that goes on from a
 * remembered one and its answer has the answer's own tokens, which are the ones that caches hold. The oldest are
 * forgotten.
 */
export class TokenHistories {
  readonly #maxLength: number
  readonly #empty: TokenHistory
  /** The one that was extended last at the end. */
  #histories: TokenHistory[] = []

  constructor(tokenizer: ChatTokenizer, maxLength = MAX_LENGTH) {
    this.#maxLength = maxLength
    this.#empty = new TokenHistory(tokenizer)
  }

  /** The ids of a whole conversation's text, special tokens in it read as such. Rejects as `TokenHistory.extend`. */
  async extend(text: string, signal?: AbortSignal): Promise<KnownText> {
    let best = this.#empty
    for (const history of this.#histories) if (history.keptOf(text) > best.keptOf(text)) best = history
    const history = best.fork()
    const ids = await history.extend(text, signal)
    return {
      ids,
      append: async (answer, answerIds) => {
        await history.append(answer, answerIds)
        this.#remember(history, best)
      },
    }
  }

  /** Keeps a history in the place of the one that it goes on from, unless that has an end of its own. */
  #remember(history: TokenHistory, before: TokenHistory): void {
    const isEnd = before.isBeginningOf(history)
    this.#histories = [...this.#histories.filter((other) => !(isEnd && other === before)), history]
    let length = this.#histories.reduce((sum, each) => sum + each.length, 0)
    while (this.#histories.length > MAX_HISTORIES || (length > this.#maxLength && this.#histories.length > 1))
      length -= this.#histories.shift()!.length
  }
}
