import { type PlaceLogprobs, placeLogprobs } from '../../sampling/token-logprobs.ts'
import type { EndsRunner } from './ends-runner.ts'
import type { ScoreCommand } from './messages.ts'

/** Runs the head and says, for each row, how likely its target was, and which tokens were likeliest. */
export function scoreRows(runner: EndsRunner, { hidden, targets, numTop }: ScoreCommand): PlaceLogprobs[] {
  const logits = runner.head(hidden)
  const width = logits.length / targets.length
  return targets.map((target, i) => placeLogprobs(logits.subarray(i * width, (i + 1) * width), target, numTop))
}
