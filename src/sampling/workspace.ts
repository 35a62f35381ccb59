import { Candidates } from './candidates.ts'
import type { Grammars } from './grammar/grammars.ts'

/**
 * Scratch memory for choosing tokens, shared by all texts of a thread: a choice is synchronous, so no two overlap. It
 * is allocated once for a vocabulary's size.
 */
export class Workspace {
  /** The candidates of the draw under way. */
  readonly candidates = new Candidates()
  /** The constraints of this thread's texts; undefined until there is one. */
  grammars: Grammars | undefined
  #logits = new Float32Array(0)
  #counts = new Uint32Array(0)

  /** A copy of the logits that processors may change, valid until the next copy. */
  copy(logits: Float32Array): Float32Array {
    if (this.#logits.length !== logits.length) this.#logits = new Float32Array(logits.length)
    this.#logits.set(logits)
    return this.#logits
  }

  /** A counter for each token, all 0. The caller must set what it used back to 0. */
  counts(vocabSize: number): Uint32Array {
    if (this.#counts.length !== vocabSize) this.#counts = new Uint32Array(vocabSize)
    return this.#counts
  }
}
