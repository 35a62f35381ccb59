import type { BeamCandidate } from './beam-sampler.ts'
import type { ResolvedOptions } from './options/options.ts'
import type { Sample } from './sampler.ts'

/**
 * The last end of a model that chooses tokens itself, on threads of its own: hidden states go in, tokens come out, and
 * logits stay where they are. It keeps what belongs to a text (the ids so far, the random numbers) until that is
 * closed. Options are checked ones, without `logitsProcessors`: functions stay on their thread.
 */
export interface ChoosingHead {
  /** Begins a text behind `ids`, its prompt. */
  openText(options: ResolvedOptions, ids: readonly number[]): ChosenText
  /** Begins a beam search behind `ids`. */
  openBeams(options: ResolvedOptions, ids: readonly number[]): ChosenBeams
}

/** One text, token by token. */
export interface ChosenText {
  /**
   * The next token, from the last block's output [hidden] after all before it; from then on it is part of the text.
   * Rejects as `Sampler` throws, and where the head fails.
   */
  choose(hidden: Float32Array): Promise<Sample>
  /** Forgets the text. */
  close(): void
}

/** One beam search, step by step. */
export interface ChosenBeams {
  /** The best continuations, from the last block's output [hidden] after each of the running beams. */
  candidates(hidden: readonly Float32Array[], beams: readonly BeamStep[]): Promise<BeamCandidate[]>
  close(): void
}

/** A running beam: the one of the step before that it continues, and the token that it adds to it, if any. */
export interface BeamStep {
  readonly parent: number
  readonly tokenId: number | undefined
  /** Sum of its log-probabilities. */
  readonly total: number
}
