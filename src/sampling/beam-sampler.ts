import { expSum, maxLogit } from './logits.ts'
import { openConstraint } from './open-constraint.ts'
import { type ResolvedOptions, isSampling } from './options/options.ts'
import { createProcessors } from './processors.ts'
import { seededRandom } from './random.ts'
import { type Candidate, TopCandidates } from './top-candidates.ts'
import { createWarping, warp } from './warpers.ts'
import { Workspace } from './workspace.ts'

/**
 * A continuation of a beam by one token. `logprob` is that token's log-probability under the model itself, before
 * logits processors.
 */
export interface BeamCandidate extends Candidate {
  readonly logprob: number
  /** Whether the token completes what a constraint asks for: nothing can follow. */
  readonly complete: boolean
}

/** A running beam: the ids of prompt and answer, and `total`, the sum of the answer's log-probabilities. */
export interface BeamSoFar {
  readonly ids: readonly number[]
  readonly total: number
}

/**
 * One step of a beam search: from the logits [vocab] after each running beam to the best continuations of all beams
 * together, best first. Which of them become beams is the caller's choice. Leaves the logits as they are. Throws as
 * `Sampler` does.
 */
export type BeamSampler = (logits: readonly Float32Array[], beams: readonly BeamSoFar[]) => BeamCandidate[]

/**
 * Makes the sampler of one beam search. `options` must have been checked; `promptLength` is in tokens. It returns
 * (number of EOS tokens + 1) candidates for each beam, at least 2: enough that as many beams as before can go on even
 * if every beam's best candidates are EOS tokens.
 */
export function createBeamSampler(
  options: ResolvedOptions,
  promptLength: number,
  workspace = new Workspace(),
): BeamSampler {
  const constraint = openConstraint(options, promptLength, workspace)
  const processors = createProcessors(options, promptLength, workspace, constraint)
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
      complete: constraint?.isCompletedBy(beams[candidate.beam]!.ids, candidate.tokenId) === true,
    }))
  }
}

/** log(sum(exp(logits))), the softmax's denominator. */
function logOfSum(logits: Float32Array): number {
  const max = maxLogit(logits)
  return max + Math.log(expSum(logits, max))
}
