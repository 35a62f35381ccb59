import type { Graph } from './builder.ts'
import { add } from './ops.ts'
import {
  constantLike,
  div,
  filledLike,
  largestFew,
  less,
  scatterElements,
  sigmoid,
  softmax,
  sumOfAxis,
  where,
} from './primitive-ops.ts'
import { bestGroups, NEVER, type RoutingOptions, scaled } from './routing.ts'
import type { Value } from './value.ts'

/** How much each expert has in each token's output. */
export interface ExpertShares {
  /** [..., experts]: an expert's weight, zero where it is not chosen. */
  readonly shares: Value
}

/** Chooses the same experts as `route`, and gives the weights of all, zero for those that are not chosen. */
export function expertShares(
  g: Graph,
  scores: Value,
  { topK, normalised, scoring, correction, factor = 1, groups }: RoutingOptions,
  name: string,
): ExpertShares {
  return g.scope(name, () => {
    const isSoftmax = scoring === 'softmax'
    const weights = () => (isSoftmax ? softmax(g, scores, 'probabilities') : sigmoid(g, scores, 'weights'))
    const own = isSoftmax && normalised ? undefined : weights()
    const merits = isSoftmax ? scores : correction === undefined ? own! : add(g, own!, correction, 'corrected')
    const allowed = groups === undefined ? merits : bestGroups(g, merits, groups)
    const { indices, values } = largestFew(g, allowed, topK, 'chosen')
    const axis = scores.shape.length - 1
    const none = filledLike(g, scores, 0, 'none')
    const marks = scatterElements(g, none, indices, filledLike(g, values, 1, 'one'), axis, 'marks')
    const zero = constantLike(g, scores, 0, 'zero')
    const isChosen = less(g, zero, marks, 'is_chosen')
    if (own === undefined) {
      const others = constantLike(g, scores, NEVER, 'never')
      return { shares: scaled(g, softmax(g, where(g, isChosen, scores, others, 'of_chosen'), 'shares'), factor) }
    }
    const chosen = where(g, isChosen, own, zero, 'of_chosen')
    const shares = normalised ? div(g, chosen, sumOfAxis(g, chosen, axis, 'sum_of_chosen'), 'shares') : chosen
    return { shares: scaled(g, shares, factor) }
  })
}
