import { type Token, type TokenType, syntaxError } from './tokens.ts'

/** The tokens of a template, read one by one. */
export class TokenStream {
  readonly #tokens: readonly Token[]
  #at = 0
  /** How many loops the parser is in. */
  loops = 0
  /** Names that expressions have read, for whoever wants to know them of a part. */
  readonly names: string[] = []

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  get current(): Token {
    return this.#tokens[this.#at]!
  }

  get ahead(): Token {
    return this.#tokens[Math.min(this.#at + 1, this.#tokens.length - 1)]!
  }

  next(): Token {
    const token = this.current
    if (token.type !== 'eof') this.#at++
    return token
  }

  is(type: TokenType, ...values: readonly string[]): boolean {
    return this.current.type === type && (values.length === 0 || values.includes(this.current.value))
  }

  /** Reads a token if it is the one that is named. */
  skip(type: TokenType, value?: string): boolean {
    const there = value === undefined ? this.is(type) : this.is(type, value)
    if (there) this.next()
    return there
  }

  /** Reads a token that must be there. Throws a syntax error otherwise. */
  expect(type: TokenType, value?: string): Token {
    if (!(value === undefined ? this.is(type) : this.is(type, value))) {
      const { type: found, value: shown } = this.current
      throw this.error(`expected token '${value ?? type}', got '${shown || found}'`)
    }
    return this.next()
  }

  error(message: string): Error {
    return syntaxError(message, this.current.line)
  }
}
