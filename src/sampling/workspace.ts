import { Candidates } from './candidates.ts'

/**
 * Memory to choose tokens in, for all texts of a thread: sampling is synchronous, so that nobody meets another's values
 * in it. Nothing is allocated once it has the size of the vocabulary.
 */
export class Workspace {
  /** What is left of a vocabulary while a token is drawn. */
  readonly candidates = new Candidates()
  #logits = new Float32Array(0)
  #counts = new Uint32Array(0)

  /** A copy of the logits, which processors may change. */
  copy(logits: Float32Array): Float32Array {
    if (this.#logits.length !== logits.length) this.#logits = new Float32Array(logits.length)
    this.#logits.set(logits)
    return this.#logits
  }

  /** A number for each token, all 0: leave them so. */
  counts(vocabSize: number): Uint32Array {
    if (this.#counts.length !== vocabSize) this.#counts = new Uint32Array(vocabSize)
    return this.#counts
  }
}
