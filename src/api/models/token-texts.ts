import type { Tokenizer } from '../../checkpoint/tokenizer/tokenizer.ts'
import { SPECIAL_BYTE, type Vocabulary, bytesOf } from '../../sampling/grammar/tokens/vocabulary.ts'

/** A token as clients see it: what it stands for as text, and its bytes, which may be a part of a character. */
export interface TokenText {
  readonly text: string
  readonly bytes: readonly number[] | null
}

type TokenSource = Pick<Tokenizer, 'decode' | 'vocabulary'>

/** The texts of single tokens. */
export class TokenTexts {
  readonly #tokenizer: TokenSource | undefined
  readonly #known = new Map<number, TokenText>()
  #vocabulary: Promise<Vocabulary | undefined> | undefined

  constructor(tokenizer: TokenSource | undefined) {
    this.#tokenizer = tokenizer
  }

  /** Learns the texts of tokens, which `of` can then tell. */
  async learn(ids: Iterable<number>): Promise<void> {
    if (this.#tokenizer === undefined) return
    const unknown = [...new Set(ids)].filter((id) => !this.#known.has(id))
    if (unknown.length === 0) return
    // Of some kinds of tokenizers, tokens have no bytes of their own.
    this.#vocabulary ??= this.#tokenizer.vocabulary().catch(() => undefined)
    const vocabulary = await this.#vocabulary
    await Promise.all(unknown.map(async (id) => this.#known.set(id, await this.#read(id, vocabulary))))
  }

  /** A token that was learned; a model without a tokenizer has numbers only. */
  of(id: number): TokenText {
    return this.#known.get(id) ?? { text: `token_id:${id}`, bytes: null }
  }

  async #read(id: number, vocabulary: Vocabulary | undefined): Promise<TokenText> {
    const own = vocabulary === undefined ? undefined : bytesOf(vocabulary, id)
    if (own !== undefined && own.length > 0) {
      const bytes = own[0] === SPECIAL_BYTE ? own.subarray(1) : own
      return { text: Buffer.from(bytes).toString('utf8'), bytes: [...bytes] }
    }
    const text = await this.#tokenizer!.decode([id])
    return { text, bytes: text.includes('\uFFFD') ? null : [...Buffer.from(text)] }
  }
}
