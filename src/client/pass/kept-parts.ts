import type { PassMemory } from './pass-memory.ts'
import type { PassPart } from './pass-plan.ts'

/** What a pass keeps for its gradients: of each piece, who computed which blocks from what. It is counted. */
export class KeptParts implements Disposable {
  readonly #memory: PassMemory
  /** Undefined once they are forgotten. */
  #pieces: PassPart[][] | undefined
  #bytes = 0

  constructor(memory: PassMemory, numPieces: number) {
    this.#memory = memory
    this.#pieces = Array.from({ length: numPieces }, () => [])
  }

  /** Bytes of the inputs that are kept, the batch itself included. */
  get bytes(): number {
    return this.#bytes
  }

  get pieces(): readonly PassPart[][] | undefined {
    return this.#pieces
  }

  /** Keeps one more part of a piece. Throws `PASS_MEMORY`. */
  add(piece: number, part: PassPart): void {
    if (this.#pieces === undefined) return
    this.#memory.require(part.input.data.byteLength)
    this.#pieces[piece]!.push(part)
    this.#count()
  }

  /** A piece was computed by others; what it keeps is about the same. */
  replace(piece: number, parts: PassPart[]): void {
    if (this.#pieces === undefined) return
    this.#pieces[piece] = parts
    this.#count()
  }

  /** Forgets all. */
  [Symbol.dispose](): void {
    this.#pieces = undefined
    this.#count()
  }

  #count(): void {
    this.#memory.give(this.#bytes)
    this.#bytes = (this.#pieces ?? []).flat().reduce((sum, { input }) => sum + input.data.byteLength, 0)
    this.#memory.take(this.#bytes)
  }
}
