import { type BeamCandidate, type BeamSampler, createBeamSampler } from './beam-sampler.ts'
import type { BeamStep } from './choosing-head.ts'
import type { ResolvedOptions } from './options/options.ts'
import { type Sample, type Sampler, createSampler } from './sampler.ts'
import type { Workspace } from './workspace.ts'

/** A text where its tokens are chosen: the ids so far, which grow by each token, and what draws them. */
export class TextState {
  readonly #ids: number[]
  readonly #sample: Sampler

  /** Begins behind `ids`, the prompt; takes checked options. */
  constructor(options: ResolvedOptions, ids: readonly number[], workspace: Workspace) {
    this.#ids = [...ids]
    this.#sample = createSampler(options, ids.length, workspace)
  }

  /** Chooses the next token, from the logits [vocab] after all before it. Throws as `Sampler`. */
  choose(logits: Float32Array): Sample {
    const sample = this.#sample(logits, this.#ids)
    this.#ids.push(sample.tokenId)
    return sample
  }
}

/** A beam search where its candidates are found: the ids of all beams. */
export class BeamsState {
  readonly #sample: BeamSampler
  #beams: readonly (readonly number[])[]

  /** Begins behind `ids`, the prompt; takes checked options. */
  constructor(options: ResolvedOptions, ids: readonly number[], workspace: Workspace) {
    this.#beams = [ids]
    this.#sample = createBeamSampler(options, ids.length, workspace)
  }

  /** The best continuations, from the logits [vocab] after each of the running beams. Throws as `Sampler`. */
  candidates(logits: readonly Float32Array[], steps: readonly BeamStep[]): BeamCandidate[] {
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
