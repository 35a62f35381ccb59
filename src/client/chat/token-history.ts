/** Text to ids and back, as a tokenizer does it. */
export interface ChatTokenizer {
  encode(text: string, options: { readonly addSpecialTokens: boolean }): Promise<number[]>
  decode(ids: readonly number[], options: { readonly skipSpecialTokens: boolean }): Promise<string>
}

/** A piece of the conversation's text, and the tokens that stand for it. */
interface Segment {
  readonly text: string
  readonly ids: readonly number[]
}

/** More of the last tokens than these are never taken back to meet a text's end: a stop string has fewer. */
const MAX_TAKEN_BACK = 64

/** A token of its own in any tokenizer that puts something before a text's first word. */
const ANCHOR = '\n'

/**
 * The tokens of a conversation so far. A text that begins as the last one did is given the same tokens there: those
 * that the model itself chose for its answers, which may be others than the tokenizer's own.
 */
export class TokenHistory {
  readonly #tokenizer: ChatTokenizer
  readonly #withoutPrefix: Promise<readonly number[] | undefined>
  #segments: Segment[] = []

  constructor(tokenizer: ChatTokenizer) {
    this.#tokenizer = tokenizer
    this.#withoutPrefix = this.#findAnchor()
    this.#withoutPrefix.catch(() => undefined)
  }

  /** The ids of a whole text, which is the history from now on. */
  async extend(text: string): Promise<number[]> {
    const kept: Segment[] = []
    let rest = text
    for (const segment of this.#segments) {
      if (!rest.startsWith(segment.text)) break
      kept.push(segment)
      rest = rest.slice(segment.text.length)
    }
    if (rest !== '') kept.push({ text: rest, ids: await this.#encode(rest, kept.length > 0) })
    this.#segments = kept
    return kept.flatMap(({ ids }) => ids)
  }

  /** Adds what the model wrote: of `ids` those that make up the text's beginning. */
  async append(text: string, ids: readonly number[]): Promise<void> {
    for (let length = ids.length; length > 0 && length >= ids.length - MAX_TAKEN_BACK; length--) {
      const head = ids.slice(0, length)
      const written = await this.#tokenizer.decode(head, { skipSpecialTokens: false })
      if (written === '' || !text.startsWith(written)) continue
      this.#segments.push({ text: written, ids: head })
      return
    }
  }

  async #encode(text: string, withinText: boolean): Promise<readonly number[]> {
    const anchor = withinText ? await this.#withoutPrefix : undefined
    if (anchor === undefined) return this.#tokenizer.encode(text, { addSpecialTokens: false })
    const ids = await this.#tokenizer.encode(ANCHOR + text, { addSpecialTokens: false })
    return ids.slice(anchor.length)
  }

  /**
   * SentencePiece puts a space before a text: then what stands within one is encoded behind an anchor, and that cut
   * off.
   */
  async #findAnchor(): Promise<readonly number[] | undefined> {
    const encode = (text: string): Promise<number[]> => this.#tokenizer.encode(text, { addSpecialTokens: false })
    const [alone, behind, anchor] = await Promise.all([encode('a'), encode(`${ANCHOR}a`), encode(ANCHOR)])
    const isPrefixed = alone.length !== 1 || behind.at(-1) !== alone[0]
    const isApart = anchor.every((id, i) => behind[i] === id) && behind.length > anchor.length
    return isPrefixed && isApart ? anchor : undefined
  }
}
