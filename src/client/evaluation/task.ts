// Room evaluation/: how good a model is, on data that it was not trained on.

import type { Example } from '../training/data/dataset.ts'

/** What can be measured. */
export type MetricName = 'perplexity' | 'choices' | 'accuracy'

/** What was computed of one sequence: the sum of its losses in nats, by their weights, or a classifier's logits. */
export type Score = readonly number[]

/** A metric on some data: sequences that are computed each by itself, and what follows from their scores. */
export interface Task<R = unknown> {
  readonly score: 'loss' | 'labels'
  readonly examples: readonly Example[]
  /** Scores are in the examples' order. */
  readonly summarize: (scores: readonly Score[]) => R
}

/** A share of right answers, and its standard error: that of a mean of ones and zeros. */
export function shareOf(right: readonly boolean[]): { readonly share: number; readonly standardError: number } {
  const share = right.filter(Boolean).length / right.length
  return { share, standardError: right.length < 2 ? 0 : Math.sqrt((share * (1 - share)) / (right.length - 1)) }
}

/** The place of the largest value, the first of several. */
export function indexOfMax(values: readonly number[]): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0)
}
