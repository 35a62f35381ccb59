import { STREAM_START, type StreamState } from './stream.ts'

/** The two steps of an incremental decoding; the tokenizer's thread computes them. */
export interface StreamDecoder {
  advance(state: StreamState, ids: readonly number[]): Promise<{ state: StreamState; piece: string }>
  rest(state: StreamState): Promise<string>
}

/**
 * Decodes one text while its token ids arrive. No piece ends within a character; joined, the pieces are exactly what
 * decoding all ids at once gives. Calls may overlap; they are done in order.
 */
export class TokenStream {
  readonly #decoder: StreamDecoder
  #state = STREAM_START
  #last: Promise<unknown> = Promise.resolve()

  constructor(decoder: StreamDecoder) {
    this.#decoder = decoder
  }

  /** Takes further ids; resolves to the text that they complete, empty if they end within a character. */
  push(ids: readonly number[]): Promise<string> {
    return this.#next(async () => {
      const { state, piece } = await this.#decoder.advance(this.#state, ids)
      this.#state = state
      return piece
    })
  }

  /** Ends the text; resolves to its rest, an incomplete character or nothing. The next `push` begins another text. */
  flush(): Promise<string> {
    return this.#next(async () => {
      const text = await this.#decoder.rest(this.#state)
      this.#state = STREAM_START
      return text
    })
  }

  #next(step: () => Promise<string>): Promise<string> {
    const result = this.#last.then(step)
    this.#last = result.catch(() => undefined)
    return result
  }
}
