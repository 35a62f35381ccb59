// From logits to tokens, for any thread. `processors.ts`: what options do to all logits (`penalties.ts`,
// `constraints.ts`); `warpers.ts`: what is left to draw from (`candidates.ts`, found by `selection.ts`); here: one
// token; `beam-sampler.ts`: the candidates of a beam search. `text-state.ts` adds what belongs to one text. `options/`:
// what options there are.

import type { Candidates } from './candidates.ts'
import { openConstraint } from './open-constraint.ts'
import { likeliest } from './logits.ts'
import { type ResolvedOptions, isSampling } from './options/options.ts'
import { createProcessors } from './processors.ts'
import { seededRandom } from './random.ts'
import { type TokenLogprob, placeLogprobs } from './token-logprobs.ts'
import { createWarping, warp } from './warpers.ts'
import { Workspace } from './workspace.ts'

/**
 * A chosen token and, if `logprobs` was asked for, its log-probability under the model itself, before logits
 * processors, with those of the `topLogprobs` likeliest tokens.
 */
export interface Sample {
  readonly tokenId: number
  readonly logprob: number | undefined
  readonly top?: readonly TokenLogprob[]
  /** Whether the token completes what a constraint asks for: nothing can follow. */
  readonly complete?: boolean
}

/**
 * Chooses the next token from the logits [vocab], which it leaves unchanged; `ids` are the tokens so far, prompt and
 * answer. Throws `LOGITS_NAN` for logits that no server can have computed rightly, and `USAGE` if the options leave no
 * token.
 */
export type Sampler = (logits: Float32Array, ids: readonly number[]) => Sample

/**
 * Makes the sampler of one text; its random draws follow from the options' seed. `options` must have been checked.
 * Without drawing, the likeliest token is taken, the lowest id among equals. Samplers of one thread may share a
 * workspace.
 */
export function createSampler(
  options: ResolvedOptions,
  promptLength: number,
  workspace = new Workspace(),
  constraint = openConstraint(options, promptLength, workspace),
): Sampler {
  const processors = createProcessors(options, promptLength, workspace, constraint)
  const choose = isSampling(options) ? drawer(options, workspace.candidates) : likeliest
  return (logits, ids) => {
    let processed = logits
    if (processors.length > 0) {
      // Checks the logits before anything changes them, so that an error here is the server's fault.
      likeliest(logits)
      processed = workspace.copy(logits)
      for (const process of processors) process(processed, ids)
    }
    const tokenId = choose(processed)
    const completes = constraint?.isCompletedBy(ids, tokenId) === true && { complete: true }
    if (options.logprobs !== true) return { tokenId, logprob: undefined, ...completes }
    return { tokenId, ...placeLogprobs(logits, tokenId, options.topLogprobs ?? 0), ...completes }
  }
}

/** Makes the function that chooses a token from processed logits: by a draw, or the likeliest. */
function drawer(options: ResolvedOptions, candidates: Candidates): (logits: Float32Array) => number {
  const random = seededRandom(options.seed)
  const warping = createWarping(options)
  return (logits) => {
    warp(candidates, logits, warping)
    return draw(candidates, random())
  }
}

/** The token at which the running sum of probabilities passes `uniform`, a random number in [0, 1). */
function draw(candidates: Candidates, uniform: number): number {
  const { ids, logits, weights, count } = candidates
  const max = candidates.max()
  let total = 0
  for (let i = 0; i < count; i++) total += weights[i] = Math.exp(logits[i]! - max)
  const target = uniform * total
  let sum = 0
  let drawn = 0
  for (let i = 0; i < count && sum <= target; i++) {
    if (weights[i] === 0) continue
    drawn = ids[i]!
    sum += weights[i]!
  }
  return drawn
}
