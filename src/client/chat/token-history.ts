/** The part of a tokenizer that a chat uses. */
export interface ChatTokenizer {
  encode(
    text: string,
    options: { readonly addSpecialTokens: boolean; readonly signal?: AbortSignal | undefined },
  ): Promise<number[]>
  decode(ids: readonly number[], options: { readonly skipSpecialTokens: boolean }): Promise<string>
}

/** A piece of the conversation's text, and its tokens. */
interface Segment {
  readonly text: string
  readonly ids: readonly number[]
}

/** How many of an answer's last tokens may be dropped to match the end of its text; a stop string has fewer tokens. */
const MAX_TAKEN_BACK = 64

/** A text that is a token of its own in every tokenizer that puts something before a text's first word. */
const ANCHOR = '\n'

/**
 * The tokens of a conversation so far. A text that begins as the last one did keeps its tokens there: for answers those
 * that the model chose, which may differ from the tokenizer's own and are the ones in the caches.
 */
export class TokenHistory {
  readonly #tokenizer: ChatTokenizer
  readonly #withoutPrefix: Promise<readonly number[] | undefined>
  #segments: Segment[] = []

  constructor(tokenizer: ChatTokenizer, withoutPrefix?: Promise<readonly number[] | undefined>) {
    this.#tokenizer = tokenizer
    this.#withoutPrefix = withoutPrefix ?? this.#findAnchor()
    this.#withoutPrefix.catch(() => undefined)
  }

  /** Number of characters of the history. */
  get length(): number {
    return this.#segments.reduce((sum, { text }) => sum + text.length, 0)
  }

  /** How many characters at a text's beginning have tokens in the history that would be kept. */
  keptOf(text: string): number {
    return this.#begin(text).reduce((sum, segment) => sum + segment.text.length, 0)
  }

  /** Whether another history goes on from the whole of this one. */
  isBeginningOf(other: TokenHistory): boolean {
    return this.#segments.every((segment, i) => segment === other.#segments[i])
  }

  /** Another history with the same beginning. */
  fork(): TokenHistory {
    const fork = new TokenHistory(this.#tokenizer, this.#withoutPrefix)
    fork.#segments = [...this.#segments]
    return fork
  }

  /**
   * The ids of a whole conversation's text, which becomes the history. Rejects with the signal's reason where it is
   * long and no longer wanted.
   */
  async extend(text: string, signal?: AbortSignal): Promise<number[]> {
    const kept = this.#begin(text)
    const rest = text.slice(this.keptOf(text))
    if (rest !== '') kept.push({ text: rest, ids: await this.#encode(rest, kept.length > 0, signal) })
    this.#segments = kept
    return kept.flatMap(({ ids }) => ids)
  }

  /** Adds an answer: as many of its `ids` as make up the beginning of `text`. */
  async append(text: string, ids: readonly number[]): Promise<void> {
    for (let length = ids.length; length > 0 && length >= ids.length - MAX_TAKEN_BACK; length--) {
      const head = ids.slice(0, length)
      const written = await this.#tokenizer.decode(head, { skipSpecialTokens: false })
      if (written === '' || !text.startsWith(written)) continue
      this.#segments.push({ text: written, ids: head })
      return
    }
  }

  /** The segments with which a text begins. */
  #begin(text: string): Segment[] {
    let at = 0
    const end = this.#segments.findIndex((segment) => {
      const begins = text.startsWith(segment.text, at)
      at += segment.text.length
      return !begins
    })
    return this.#segments.slice(0, end === -1 ? undefined : end)
  }

  async #encode(text: string, withinText: boolean, signal?: AbortSignal): Promise<readonly number[]> {
    const anchor = withinText ? await this.#withoutPrefix : undefined
    if (anchor === undefined) return this.#tokenizer.encode(text, { addSpecialTokens: false, signal })
    const ids = await this.#tokenizer.encode(ANCHOR + text, { addSpecialTokens: false, signal })
    return ids.slice(anchor.length)
  }

  /**
   * The ids of `ANCHOR` if the tokenizer puts something before a text's first word, as SentencePiece does with a space.
   * Pieces within the conversation are then encoded behind the anchor, whose ids are removed afterwards. Undefined if
   * that is not necessary.
   */
  async #findAnchor(): Promise<readonly number[] | undefined> {
    const encode = (text: string): Promise<number[]> => this.#tokenizer.encode(text, { addSpecialTokens: false })
    const [alone, behind, anchor] = await Promise.all([encode('a'), encode(`${ANCHOR}a`), encode(ANCHOR)])
    const isPrefixed = alone.length !== 1 || behind.at(-1) !== alone[0]
    const isApart = anchor.every((id, i) => behind[i] === id) && behind.length > anchor.length
    return isPrefixed && isApart ? anchor : undefined
  }
}
