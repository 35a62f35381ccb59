import type { Tokenizer } from '../../checkpoint/tokenizer/tokenizer.ts'

/** A token as clients see it: what it stands for as text, and its bytes. */
export interface TokenText {
  readonly text: string
  readonly bytes: readonly number[] | null
}

/** The texts of single tokens, each asked of the tokenizer once. */
export class TokenTexts {
  readonly #tokenizer: Pick<Tokenizer, 'decode'> | undefined
  readonly #known = new Map<number, TokenText>()

  constructor(tokenizer: Pick<Tokenizer, 'decode'> | undefined) {
    this.#tokenizer = tokenizer
  }

  /** Learns the texts of tokens, which `of` can then tell. */
  async learn(ids: Iterable<number>): Promise<void> {
    const unknown = [...new Set(ids)].filter((id) => !this.#known.has(id))
    await Promise.all(unknown.map(async (id) => this.#known.set(id, await this.#read(id))))
  }

  /** A token that was learned; a model without a tokenizer has numbers only. */
  of(id: number): TokenText {
    return this.#known.get(id) ?? numbered(id)
  }

  async #read(id: number): Promise<TokenText> {
    if (this.#tokenizer === undefined) return numbered(id)
    const text = await this.#tokenizer.decode([id])
    return { text, bytes: text.includes('\uFFFD') ? null : [...Buffer.from(text)] }
  }
}

function numbered(id: number): TokenText {
  return { text: `token_id:${id}`, bytes: null }
}
