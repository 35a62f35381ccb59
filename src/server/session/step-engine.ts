import type { EngineSession } from '../../engine/session/engine-session.ts'
import type { Activations, WireDType } from '../../tensor/activations.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { encodeFinite } from '../../tensor/travel.ts'
import type { Pace } from '../rates/pace.ts'

/** What a session's steps are computed with. */
export interface StepEngineModules {
  readonly engine: Pick<EngineSession, 'position' | 'step' | 'truncate'>
  readonly pace: Pick<Pace, 'begin'>
  /** Called when there was no step for `idleMs`. */
  readonly onIdle: () => void
}

/** How a session's steps are computed. */
export interface StepEngineOptions {
  /** Number of blocks that the session uses. */
  readonly numBlocks: number
  /** The form in which outputs travel. */
  readonly wireDType: WireDType
  readonly idleMs: number
}

/** Computes the steps of one session, and knows when the session was last used: only steps are use. */
export class StepEngine {
  readonly #modules: StepEngineModules
  readonly #options: StepEngineOptions
  readonly #idle: NodeJS.Timeout
  #steppedAt = performance.now()
  #stepsUnderWay = 0

  constructor(modules: StepEngineModules, options: StepEngineOptions) {
    this.#modules = modules
    this.#options = options
    this.#idle = setTimeout(modules.onIdle, options.idleMs)
  }

  /** When the session was last used, in milliseconds of `performance.now()`. */
  get usedAt(): number {
    return this.#stepsUnderWay > 0 ? performance.now() : this.#steppedAt
  }

  /**
   * Computes a step of an input [tokens, hidden]; returns its output in the form in which it travels. Where it throws,
   * the cache is as before: `TENSOR_SHAPE` for an input of another width, `TENSOR_NONFINITE` for an output that nobody
   * should compute with, and `WIRE_DTYPE` for one that is too large for the form.
   */
  async step(input: Tensor): Promise<Activations> {
    const { engine, pace } = this.#modules
    const { numBlocks, wireDType } = this.#options
    const before = engine.position
    const done = pace.begin(input.shape[0]!, numBlocks)
    this.#stepsUnderWay += 1
    let computed = false
    try {
      const output = await engine.step(input)
      computed = true
      return await encodeFinite(output, wireDType, 'the blocks gave')
    } catch (error) {
      if (computed) engine.truncate(before)
      throw error
    } finally {
      done(computed)
      this.#stepsUnderWay -= 1
      this.#steppedAt = performance.now()
      this.#idle.refresh()
    }
  }

  /** The session has ended: it is idle no more. */
  close(): void {
    clearTimeout(this.#idle)
  }
}
