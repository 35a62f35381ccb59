import { type BeamCandidate, type BeamSampler, createBeamSampler } from './beam-sampler.ts'
import type { BeamStep } from './choosing-head.ts'
import type { TextConstraint } from './grammar/text-constraint.ts'
import { openConstraint } from './open-constraint.ts'
import type { ResolvedOptions } from './options/options.ts'
import { type Sample, type Sampler, createSampler } from './sampler.ts'
import type { Workspace } from './workspace.ts'

/**
 * The state of one text on the thread that chooses its tokens: the ids so far, and the sampler with its random numbers.
 */
export class TextState {
  readonly #ids: number[]
  readonly #constraint: TextConstraint | undefined
  readonly #sample: Sampler
  #isComplete = false

  /** Begins behind `ids`, the prompt; takes checked options. */
  constructor(options: ResolvedOptions, ids: readonly number[], workspace: Workspace) {
    this.#ids = [...ids]
    this.#constraint = openConstraint(options, ids.length, workspace)
    this.#sample = createSampler(options, ids.length, workspace, this.#constraint)
  }

  /** Whether there is something to prepare for the next token. */
  get hasConstraint(): boolean {
    return this.#constraint !== undefined && !this.#isComplete
  }

  /** Does ahead of the next `choose` what does not need its logits. An error there is left to `choose`. */
  prepare(): void {
    try {
      this.#constraint?.prepare(this.#ids)
    } catch {
      // It comes again when the text asks for its token.
    }
  }

  /** Chooses the next token from the logits [vocab] after the text so far, and appends it. Throws as `Sampler` does. */
  choose(logits: Float32Array): Sample {
    const sample = this.#sample(logits, this.#ids)
    this.#ids.push(sample.tokenId)
    this.#isComplete = sample.complete === true
    return sample
  }
}

/** The state of one beam search on the thread that finds its candidates: the ids of every running beam. */
export class BeamsState {
  readonly #sample: BeamSampler
  #beams: readonly (readonly number[])[]

  /** Begins behind `ids`, the prompt; takes checked options. */
  constructor(options: ResolvedOptions, ids: readonly number[], workspace: Workspace) {
    this.#beams = [ids]
    this.#sample = createBeamSampler(options, ids.length, workspace)
  }

  /**
   * Goes on to the next step: `steps` says how each running beam continues one of the step before. Returns the best
   * continuations, best first, from the logits [vocab] after each of them. Throws as `Sampler` does.
   */
  advance(logits: readonly Float32Array[], steps: readonly BeamStep[]): BeamCandidate[] {
    this.#beams = steps.map(({ parent, tokenId }) => {
      const ids = this.#beams[parent]!
      return tokenId === undefined ? ids : [...ids, tokenId]
    })
    return this.#sample(
      logits,
      steps.map(({ total }, i) => ({ ids: this.#beams[i]!, total })),
    )
  }
}
