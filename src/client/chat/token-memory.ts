import { type ChatTokenizer, TokenHistory } from './token-history.ts'

/** The bounds of what is remembered: conversations, characters of all of them, and time. */
const MAX_HISTORIES = 64
const MAX_CHARS = 32_000_000
const MAX_AGE_MS = 10 * 60_000

interface Remembered {
  readonly history: TokenHistory
  readonly atMs: number
}

/**
 * The tokens of recent conversations, for a caller that sends each whole every time: where one goes on as another did,
 * its answers keep the tokens that the model chose, which are the ones in the caches of servers.
 */
export class TokenMemory {
  readonly #tokenizer: ChatTokenizer
  readonly #empty: TokenHistory
  /** The one used last at the end. */
  #remembered: Remembered[] = []

  constructor(tokenizer: ChatTokenizer) {
    this.#tokenizer = tokenizer
    this.#empty = new TokenHistory(tokenizer)
  }

  /** The ids of a conversation's text, and what takes its answer. */
  async encode(text: string): Promise<{ readonly ids: number[]; readonly history: TokenHistory }> {
    let best = this.#empty
    let longest = 0
    for (const { history } of this.#current()) {
      const length = history.lengthIn(text)
      if (length <= longest) continue
      best = history
      longest = length
    }
    const history = new TokenHistory(this.#tokenizer, best)
    return { ids: await history.extend(text), history }
  }

  /** Remembers a conversation to which `history` got an answer, in the place of those that it goes on from. */
  keep(history: TokenHistory): void {
    const others = this.#current().filter((each) => !history.goesOn(each.history))
    this.#remembered = [...others, { history, atMs: performance.now() }]
    let chars = this.#remembered.reduce((sum, each) => sum + each.history.length, 0)
    while (this.#remembered.length > MAX_HISTORIES || (chars > MAX_CHARS && this.#remembered.length > 1))
      chars -= this.#remembered.shift()!.history.length
  }

  #current(): readonly Remembered[] {
    const since = performance.now() - MAX_AGE_MS
    return (this.#remembered = this.#remembered.filter(({ atMs }) => atMs >= since))
  }
}
