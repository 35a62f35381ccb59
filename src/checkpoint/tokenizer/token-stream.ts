import { STREAM_START, type StreamState } from './stream.ts'

/** The two steps of an incremental decoding, done elsewhere. */
export interface StreamDecoder {
  advance(state: StreamState, ids: readonly number[]): Promise<{ state: StreamState; piece: string }>
  rest(state: StreamState): Promise<string>
}

/**
 * Decodes one text as its token ids come. The pieces never split a character, and joined they are exactly what decoding
 * all the ids at once gives. Calls may overlap; they are done in order.
 */
export class TokenStream {
  readonly #decoder: StreamDecoder
  #state = STREAM_START
  #last: Promise<unknown> = Promise.resolve()

  constructor(decoder: StreamDecoder) {
    this.#decoder = decoder
  }

  /** The text that these ids complete; empty where they end within a character. */
  push(ids: readonly number[]): Promise<string> {
    return this.#next(async () => {
      const { state, piece } = await this.#decoder.advance(this.#state, ids)
      this.#state = state
      return piece
    })
  }

  /** The rest of the text, an incomplete character; the next push begins another text. */
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
