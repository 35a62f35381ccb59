import { STREAM_START, type StreamState, behindWhole, isWhole } from './stream.ts'

/** The two steps of an incremental decoding; the tokenizer's thread computes them. */
export interface StreamDecoder {
  advance(state: StreamState, ids: readonly number[]): Promise<{ state: StreamState; piece: string }>
  rest(state: StreamState): Promise<string>
  /**
   * The text that a token adds wherever it stands behind whole characters, and whether it loses its first space where a
   * text begins; undefined where only the thread can tell.
   */
  textOf?(id: number): { readonly text: string; readonly dropsFirstSpace: boolean } | undefined
}

/**
 * Decodes one text while its token ids arrive. No piece ends within a character; joined, the pieces are exactly what
 * decoding all ids at once gives. Calls may overlap; they are done in order.
 */
export class TokenStream {
  readonly #decoder: StreamDecoder
  #state = STREAM_START
  #last: Promise<unknown> = Promise.resolve()
  /** Calls that the thread has not answered. */
  #numWaiting = 0

  constructor(decoder: StreamDecoder) {
    this.#decoder = decoder
  }

  /** Takes further ids; the text that they complete, empty if they end within a character. */
  push(ids: readonly number[]): Promise<string> | string {
    // Nearly all tokens are whole characters, and to ask a thread takes longer than to choose a token.
    const known = this.#numWaiting === 0 && ids.length === 1 ? this.#pushWhole(ids[0]!) : undefined
    if (known !== undefined) return known
    return this.#next(async () => {
      const { state, piece } = await this.#decoder.advance(this.#state, ids)
      this.#state = state
      return piece
    })
  }

  /** Ends the text; its rest, an incomplete character or nothing. The next `push` begins another text. */
  flush(): Promise<string> | string {
    if (this.#numWaiting === 0 && isWhole(this.#state)) {
      this.#state = STREAM_START
      return ''
    }
    return this.#next(async () => {
      const text = await this.#decoder.rest(this.#state)
      this.#state = STREAM_START
      return text
    })
  }

  #pushWhole(id: number): string | undefined {
    const known = this.#decoder.textOf?.(id)
    const isFirst = this.#state === STREAM_START
    if (known === undefined || (isFirst ? known.dropsFirstSpace : !isWhole(this.#state))) return undefined
    this.#state = behindWhole(id, known)
    return known.text
  }

  #next(step: () => Promise<string>): Promise<string> {
    this.#numWaiting += 1
    const result = this.#last.then(async () => {
      try {
        return await step()
      } finally {
        this.#numWaiting -= 1
      }
    })
    this.#last = result.catch(() => undefined)
    return result
  }
}
