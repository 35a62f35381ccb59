import { StopStringFilter } from './stop-strings.ts'

/** Decodes one text as its ids come; the pieces never split a character. */
export interface TextStream {
  push(ids: readonly number[]): Promise<string>
  /** The rest of the text, an incomplete character. */
  flush(): Promise<string>
}

/** The text of a generation as it may be shown: whole characters, cut before the first stop string. */
export class TextOutput {
  readonly #stream: TextStream | undefined
  readonly #filter: StopStringFilter
  #stopped = false
  #finished = false

  /** Without a stream, all text is empty. */
  constructor(stream: TextStream | undefined, stopStrings: readonly string[]) {
    this.#stream = stream
    this.#filter = new StopStringFilter(stopStrings)
  }

  /** A stop string is complete. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** The text that can be shown once this token has come. */
  async push(tokenId: number): Promise<string> {
    return this.#stream === undefined ? '' : this.#filtered(await this.#stream.push([tokenId]))
  }

  /** The text that was held back in case more of it came; nothing the second time. */
  async finish(): Promise<string> {
    if (this.#stream === undefined || this.#finished) return ''
    this.#finished = true
    const text = this.#filtered(await this.#stream.flush())
    return text + this.#filter.flush()
  }

  #filtered(piece: string): string {
    const { text, stopped } = this.#filter.push(piece)
    this.#stopped = stopped
    return text
  }
}
