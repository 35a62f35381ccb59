import { type Token, lexer } from 'marked'

/** A part of a text that is drawn by itself: a paragraph, a list, a table, a block of code. */
export interface TextBlock {
  readonly source: string
  readonly token: Token
}

/** How text is read: GitHub's Markdown, in which a new line is one. */
export const SYNTAX = { gfm: true, breaks: true } as const

/** What is appended to a text may still change the meaning of so many tokens at its end; spaces are tokens, too. */
const UNSETTLED = 4

/** Divides a text into blocks while it grows: only its end is read again. */
export class BlockReader {
  #text = ''
  #tokens: readonly Token[] = []

  /** The blocks of the whole text; one that is `complete` is read from the beginning, with all that it refers to. */
  read(text: string, isComplete: boolean): TextBlock[] {
    const plain = text.replaceAll('\r\n', '\n')
    const settled = isComplete || !plain.startsWith(this.#text) ? [] : this.#tokens.slice(0, -UNSETTLED)
    const length = settled.reduce((sum, { raw }) => sum + raw.length, 0)
    this.#tokens = [...settled, ...lexer(plain.slice(length), SYNTAX)]
    this.#text = plain
    return this.#tokens
      .filter(({ type }) => type !== 'space' && type !== 'def')
      .map((token) => ({ source: token.raw, token }))
  }
}
