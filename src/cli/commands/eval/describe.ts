import type { EvaluationResult } from '../../../client/evaluation/evaluate.ts'
import type { AccuracyResult } from '../../../client/evaluation/metrics/accuracy.ts'
import type { ChoicesResult } from '../../../client/evaluation/metrics/choices.ts'
import type { PerplexityResult } from '../../../client/evaluation/metrics/perplexity.ts'

/** What was measured, in lines for people. */
export function describeResult({ perplexity, choices, accuracy }: EvaluationResult): string {
  const lines = [
    ...(perplexity === undefined ? [] : [describePerplexity(perplexity)]),
    ...(choices === undefined ? [] : describeChoices(choices)),
    ...(accuracy === undefined ? [] : describeAccuracy(accuracy)),
  ]
  return lines.map((line) => `${line}\n`).join('')
}

function describePerplexity({ perplexity, loss, tokens }: PerplexityResult): string {
  return `perplexity ${perplexity.toFixed(3)} (${loss.toFixed(4)} nats per token, over ${tokens} tokens)`
}

function describeChoices(found: ChoicesResult): string[] {
  return [
    `accuracy ${share(found.accuracy, found.accuracyStandardError)} of ${found.questions.length} questions`,
    `  per token ${share(found.accuracyPerToken, found.accuracyPerTokenStandardError)}`,
    `  per byte  ${share(found.accuracyPerByte, found.accuracyPerByteStandardError)}`,
  ]
}

function describeAccuracy({ accuracy, accuracyStandardError, texts, classes = [] }: AccuracyResult): string[] {
  return [
    `accuracy ${share(accuracy, accuracyStandardError)} of ${texts} texts`,
    ...classes.map(({ label, texts: count, right }) => `  ${label}: ${right} of ${count} found`),
  ]
}

function share(value: number, standardError: number): string {
  return `${(100 * value).toFixed(1)} % (± ${(100 * standardError).toFixed(1)})`
}
