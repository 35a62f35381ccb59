import { PetalsError } from '../../base/errors.ts'
import type { Tensor } from '../../tensor/tensor.ts'

interface EngineSessionModules {
  readonly maxLength: number
  readonly step: (position: number, hidden: Tensor) => Promise<Tensor>
  /** Takes over the cache of another session up to `tokens`; where it throws, nothing of this one's cache counts. */
  readonly copyFrom: (source: EngineSession, tokens: number) => Promise<void>
  /** Whether the cache still holds all that a step at `position` attends to. */
  readonly reaches: (position: number) => boolean
  readonly release: () => void
}

/**
 * One sequence's KV cache in an engine. Steps are one at a time; a failed one leaves the position where it was, or at 0
 * where windowed blocks have already given up what lies before it.
 */
export class EngineSession {
  readonly maxLength: number
  readonly #modules: EngineSessionModules
  #position = 0
  #busy = false
  #released = false

  constructor(modules: EngineSessionModules) {
    this.maxLength = modules.maxLength
    this.#modules = modules
  }

  /** Tokens in the cache. */
  get position(): number {
    return this.#position
  }

  /**
   * Computes the next `tokens` positions from `hidden` [tokens, hidden], whose buffer is taken over; returns the same
   * shape. Throws `SESSION_OVERFLOW` beyond the declared length, and what the device run threw.
   */
  async step(hidden: Tensor): Promise<Tensor> {
    const [tokens = 0] = hidden.shape
    if (this.#released) throw new PetalsError('SESSION_CLOSED', 'the session is closed')
    if (this.#busy) throw new PetalsError('SESSION_BUSY', 'a step of this session is still under way')
    if (this.#position + tokens > this.maxLength) {
      throw new PetalsError(
        'SESSION_OVERFLOW',
        `${tokens} tokens at position ${this.#position} do not fit into a session ` +
          `of ${this.maxLength} tokens; open it with a larger maxLength`,
      )
    }
    this.#busy = true
    try {
      const output = await this.#modules.step(this.#position, hidden)
      this.#position += tokens
      return output
    } catch (error) {
      this.truncate(this.#position)
      throw error
    } finally {
      this.#busy = false
    }
  }

  /**
   * Holds the first `tokens` tokens of `source` from now on, a session of the same engine, in place of its own. What
   * `source` does from now on does not show here. Throws `SESSION_POSITION` where `source` holds fewer,
   * `SESSION_OVERFLOW` where they do not fit, `SESSION_FORK` where the caches are not alike; this session is empty
   * then.
   */
  async forkFrom(source: EngineSession, tokens: number): Promise<void> {
    if (this.#released || source.#released) throw new PetalsError('SESSION_CLOSED', 'the session is closed')
    if (this.#busy) throw new PetalsError('SESSION_BUSY', 'a step of this session is still under way')
    if (tokens > source.position) {
      throw new PetalsError(
        'SESSION_POSITION',
        `${tokens} tokens were to be copied from a session that holds ${source.position}`,
      )
    }
    if (tokens > this.maxLength) {
      throw new PetalsError(
        'SESSION_OVERFLOW',
        `${tokens} tokens do not fit into a session of ${this.maxLength} tokens; open it with a larger maxLength`,
      )
    }
    this.#busy = true
    this.#position = 0
    try {
      await this.#modules.copyFrom(source, tokens)
      this.#position = tokens
    } finally {
      this.#busy = false
    }
  }

  /**
   * Cuts the cache back; the next step goes on at `position`, or at 0 where windowed blocks no longer hold what a step
   * there attends to.
   */
  truncate(position: number): void {
    if (!Number.isInteger(position) || position < 0 || position > this.#position) {
      throw new PetalsError('SESSION_POSITION', `cannot cut a session of ${this.#position} tokens back to ${position}`)
    }
    this.#position = this.#modules.reaches(position) ? position : 0
  }

  /** Gives the cache back; may be called twice. A step under way is rejected with `SESSION_CLOSED`. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#modules.release()
  }
}
