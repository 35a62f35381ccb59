import { StopStringFilter } from './stop-strings.ts'

/** Decodes one text while its ids arrive; no piece ends within a character. */
export interface TextStream {
  push(ids: readonly number[]): Promise<string> | string
  /** The rest of the text: an incomplete character, or nothing. */
  flush(): Promise<string> | string
}

/** The text of a generation as it may be shown: whole characters, cut before the first stop string. */
export class TextOutput {
  readonly #stream: TextStream | undefined
  readonly #filter: StopStringFilter
  #stop: string | undefined
  #finished = false

  /** Without a stream all text is empty. */
  constructor(stream: TextStream | undefined, stopStrings: readonly string[]) {
    this.#stream = stream
    this.#filter = new StopStringFilter(stopStrings)
  }

  /** The stop string that is complete, if one is. */
  get stop(): string | undefined {
    return this.#stop
  }

  /** Takes a token; returns the text that can be shown now. */
  async push(tokenId: number): Promise<string> {
    return this.#stream === undefined ? '' : this.#filtered(await this.#stream.push([tokenId]))
  }

  /** Returns the text that was held back; nothing if called again. */
  async finish(): Promise<string> {
    if (this.#stream === undefined || this.#finished) return ''
    this.#finished = true
    const text = this.#filtered(await this.#stream.flush())
    return text + this.#filter.flush()
  }

  #filtered(piece: string): string {
    const { text, stop } = this.#filter.push(piece)
    this.#stop = stop
    return text
  }
}
