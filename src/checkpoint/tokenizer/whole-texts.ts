import { SPECIAL_BYTE, type Vocabulary, bytesOf } from '../../sampling/grammar/tokens/vocabulary.ts'

/** What a token adds to a text. */
export interface WholeText {
  readonly text: string
  /** Whether it loses its first space where a text begins. */
  readonly dropsFirstSpace: boolean
}

/** A text may end with it because bytes are missing. */
const REPLACEMENT = '\uFFFD'

/** The texts of tokens that are whole characters. Each is made when it is first needed. */
export class WholeTexts {
  readonly #vocabulary: Vocabulary
  readonly #known = new Map<number, WholeText | undefined>()
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary
  }

  /** Undefined for special tokens, parts of characters, and ids that are no tokens. */
  of(id: number): WholeText | undefined {
    if (this.#known.has(id)) return this.#known.get(id)
    const text = this.#read(id)
    this.#known.set(id, text)
    return text
  }

  #read(id: number): WholeText | undefined {
    const bytes = bytesOf(this.#vocabulary, id)
    if (bytes.length === 0 || bytes[0] === SPECIAL_BYTE) return undefined
    try {
      // A copy: a decoder takes no shared memory.
      const text = this.#decoder.decode(bytes.slice())
      return text.endsWith(REPLACEMENT) ? undefined : { text, dropsFirstSpace: this.#vocabulary.dropsFirstSpace }
    } catch {
      return undefined
    }
  }
}
