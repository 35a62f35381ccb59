import type { BeamCandidate } from '../../../sampling/beam-sampler.ts'
import type { BeamStep } from '../../../sampling/choosing-head.ts'
import type { ResolvedOptions } from '../../../sampling/options/options.ts'
import { BeamsState } from '../../../sampling/text-state.ts'
import { Workspace } from '../../../sampling/workspace.ts'
import { type TokenSource, headFor } from './token-source.ts'

/** An open beam search, whose candidates are found on the head's thread or here. */
export interface OpenBeams {
  /** The best continuations, best first. `states[i]` is what `feed` returned for running beam i. */
  candidates(states: readonly Float32Array[], beams: readonly BeamStep[]): Promise<BeamCandidate[]>
  close(): void
}

/** Begins a beam search; `ids` are all tokens so far. */
export function openBeams(source: TokenSource, options: ResolvedOptions, ids: readonly number[]): OpenBeams {
  const beforeHead = headFor(source, options)
  if (beforeHead !== undefined) return beforeHead.head.openBeams(options, ids)
  const beams = new BeamsState(options, ids, new Workspace())
  return { candidates: async (logits, steps) => beams.advance(logits, steps), close() {} }
}
