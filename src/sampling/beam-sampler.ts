import { expSum, maxLogit } from './logits.ts'
import { type ResolvedOptions, isSampling } from './options/options.ts'
import { createProcessors } from './processors.ts'
import { seededRandom } from './random.ts'
import { type Candidate, TopCandidates } from './top-candidates.ts'
import { createWarping, warp } from './warpers.ts'
import { Workspace } from './workspace.ts'

/** A continuation with the log-probability of its token under the model itself: before all processors. */
export interface BeamCandidate extends Candidate {
  readonly logprob: number
}

/** A beam that goes on: all its tokens, prompt and answer, and the sum of its log-probabilities. */
export interface BeamSoFar {
  readonly ids: readonly number[]
  readonly total: number
}

/** Finds the continuations of one beam search, step by step; whoever searches chooses among them. */
export type BeamSampler = (logits: readonly Float32Array[], beams: readonly BeamSoFar[]) => BeamCandidate[]

/**
 * For a search behind a prompt of so many tokens. Takes checked options. The sampler takes the logits [vocab] after
 * each beam, which it leaves as they are, and gives the best continuations, best first: so many that, even where each
 * beam's best ones all end, as many as there are beams go on. It throws as `Sampler`.
 */
export function createBeamSampler(
  options: ResolvedOptions,
  promptLength: number,
  workspace = new Workspace(),
): BeamSampler {
  const processors = createProcessors(options, promptLength, workspace)
  const each = Math.max(2, (options.eosTokenIds ?? []).length + 1)
  const warping = createWarping(options, each)
  const random = isSampling(options) ? seededRandom(options.seed) : undefined
  return (logits, beams) => {
    const top = new TopCandidates((options.numBeams ?? 1) * each, random)
    const shifts = logits.map((row, beam) => {
      const { ids, total } = beams[beam]!
      const shift = logOfSum(row)
      const logProbs = workspace.copy(row)
      for (let id = 0; id < logProbs.length; id++) logProbs[id] = logProbs[id]! - shift
      for (const process of processors) process(logProbs, ids)
      warp(workspace.candidates, logProbs, warping)
      top.add(beam, total, workspace.candidates)
      return shift
    })
    return top.best().map((candidate) => ({
      ...candidate,
      logprob: logits[candidate.beam]![candidate.tokenId]! - shifts[candidate.beam]!,
    }))
  }
}

function logOfSum(logits: Float32Array): number {
  const max = maxLogit(logits)
  return max + Math.log(expSum(logits, max))
}
