import type { Graph } from './builder.ts'
import { add } from './ops.ts'
import { div, gatherElements, largestFew, sigmoid, softmax, sumOfAxis } from './primitive-ops.ts'
import { bestGroups, type RoutingOptions, scaled } from './routing.ts'
import type { Value } from './value.ts'

/** Which experts compute each token, in a form that has gradients. */
export interface ChosenExperts {
  /** int64 [..., topK] */
  readonly indices: Value
  /** The weight of each chosen expert, [..., topK]. */
  readonly weights: Value
}

/**
 * Chooses the same experts as `route`, and gives their weights one by one. Gradients pass through the weights; the
 * choice has none.
 */
export function chooseExperts(
  g: Graph,
  scores: Value,
  { topK, normalised, scoring, correction, factor = 1, groups }: RoutingOptions,
  name: string,
): ChosenExperts {
  return g.scope(name, () => {
    const isSoftmax = scoring === 'softmax'
    const shares = isSoftmax ? softmax(g, scores, 'probabilities') : sigmoid(g, scores, 'weights')
    const merits = isSoftmax ? scores : correction === undefined ? shares : add(g, shares, correction, 'corrected')
    const allowed = groups === undefined ? merits : bestGroups(g, merits, groups)
    const { indices } = largestFew(g, allowed, topK, 'chosen')
    const chosen = (x: Value) => gatherElements(g, x, indices, 'of_chosen')
    const weights = normalised ? shareOfSum(g, isSoftmax, chosen(isSoftmax ? scores : shares)) : chosen(shares)
    return { indices, weights: scaled(g, weights, factor) }
  })
}

/** The chosen experts' weights in parts of their sum; of softmax from the scores, which cannot vanish. */
function shareOfSum(g: Graph, isSoftmax: boolean, chosen: Value): Value {
  if (isSoftmax) return softmax(g, chosen, 'shares')
  return div(g, chosen, sumOfAxis(g, chosen, chosen.shape.length - 1, 'sum_of_chosen'), 'shares')
}
