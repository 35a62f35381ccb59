import type { BeamCandidate } from './beam-sampler.ts'
import type { ResolvedOptions } from './options/options.ts'
import type { Sample } from './sampler.ts'

/**
 * A model's head together with the choice of tokens, on threads of its own: hidden states go in, token ids come out,
 * and logits never change threads. It keeps the state of each open text (its ids, its random numbers). Options must
 * have been checked and have no `logitsProcessors`: functions cannot be sent to another thread.
 */
export interface ChoosingHead {
  /** Begins a text; `ids` are its prompt. */
  openText(options: ResolvedOptions, ids: readonly number[]): ChosenText
  /** Begins a beam search; `ids` are its prompt. */
  openBeams(options: ResolvedOptions, ids: readonly number[]): ChosenBeams
}

/** One open text whose tokens are chosen one after another. */
export interface ChosenText {
  /**
   * Chooses the next token and appends it to the text. `hidden` [hidden] is the last block's output at the text's last
   * token. Rejects with what `Sampler` throws, or if the head fails.
   */
  choose(hidden: Float32Array): Promise<Sample>
  /** Forgets the text's state. */
  close(): void
}

/** One open beam search. */
export interface ChosenBeams {
  /**
   * The best continuations of the running beams, best first. `hidden[i]` [hidden] is the last block's output at the
   * last token of `beams[i]`. Rejects with what `Sampler` throws, or if the head fails.
   */
  candidates(hidden: readonly Float32Array[], beams: readonly BeamStep[]): Promise<BeamCandidate[]>
  /** Forgets the search's state. */
  close(): void
}

/**
 * A running beam in terms of the step before: the index of the beam that it continues and the token that it appends, if
 * any.
 */
export interface BeamStep {
  readonly parent: number
  readonly tokenId: number | undefined
  /** Sum of the beam's log-probabilities. */
  readonly total: number
}
