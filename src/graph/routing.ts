import type { Graph } from './builder.ts'
import { add, reshape, scale } from './ops.ts'
import {
  constantLike,
  filledLike,
  gatherElements,
  largest,
  largestFew,
  log,
  scatterElements,
  sigmoid,
  softmax,
  sumOfAxis,
  where,
  less,
} from './primitive-ops.ts'
import type { Value } from './value.ts'

/** How a router chooses experts and weights them. */
export interface RoutingOptions {
  /** How many experts compute each token. */
  readonly topK: number
  /** Whether the weights of a token's chosen experts are divided by their sum, so that they add up to one. */
  readonly normalised: boolean
  /** How an expert's weight is made from its score: softmax over all experts, or sigmoid, each by itself. */
  readonly scoring: 'softmax' | 'sigmoid'
  /** [experts]: added to sigmoids for the choice of experts, but not to their weights. */
  readonly correction?: Value | undefined
  /** Factor of all weights; 1 by default. */
  readonly factor?: number | undefined
  /** Experts are chosen out of a token's best groups only. Absent: out of all. */
  readonly groups?: ExpertGroups | undefined
}

/** Groups of neighbouring experts. */
export interface ExpertGroups {
  readonly count: number
  /** How many groups experts are chosen from. */
  readonly chosen: number
  /** A group is as good as the sum of so many of its best experts. */
  readonly leaders: 1 | 2
}

/** Which experts compute each token, in the form that the operator takes. */
export interface Routing {
  readonly topK: number
  /**
   * [..., experts]: the operator takes the `topK` largest of a token, whose softmax among themselves is the share of
   * each in the sum of their weights.
   */
  readonly scores: Value
  /** The sum of a token's weights: [..., 1], or the same for all. */
  readonly total: Value | number
}

/** Stands for the score of an expert that must not be chosen: finite, since the operator subtracts scores. */
export const NEVER = -1e30

/** The least weight, so that its logarithm is finite. */
const LEAST = 1e-37

/**
 * Chooses experts by a router's scores [..., experts] (Shazeer et al., "Outrageously Large Neural Networks"; groups:
 * Liu et al., "DeepSeek-V2"; sigmoids with a correction: "DeepSeek-V3").
 */
export function route(g: Graph, scores: Value, options: RoutingOptions, name: string): Routing {
  return g.scope(name, () => (options.scoring === 'softmax' ? bySoftmax : bySigmoid)(g, scores, options))
}

function bySoftmax(g: Graph, scores: Value, { topK, normalised, factor = 1, groups }: RoutingOptions): Routing {
  const allowed = groups === undefined ? scores : bestGroups(g, scores, groups)
  if (normalised) return { topK, scores: allowed, total: factor }
  const best =
    groups === undefined
      ? largestFew(g, softmax(g, scores, 'probabilities'), topK, 'chosen').values
      : gatherElements(
          g,
          softmax(g, scores, 'probabilities'),
          largestFew(g, allowed, topK, 'chosen').indices,
          'chosen_probabilities',
        )
  return { topK, scores: allowed, total: scaled(g, sumOfAxis(g, best, best.shape.length - 1, 'share'), factor) }
}

function bySigmoid(
  g: Graph,
  scores: Value,
  { topK, normalised, factor = 1, groups, correction }: RoutingOptions,
): Routing {
  const axis = scores.shape.length - 1
  const weights = sigmoid(g, scores, 'weights')
  const merits = correction === undefined ? weights : add(g, weights, correction, 'corrected')
  const allowed = groups === undefined ? merits : bestGroups(g, merits, groups)
  const { indices } = largestFew(g, allowed, topK, 'chosen')
  const chosen = gatherElements(g, weights, indices, 'chosen_weights')
  const above = largest(g, chosen, constantLike(g, chosen, LEAST, 'least'), 'above_zero')
  return {
    topK,
    scores: scatterElements(
      g,
      filledLike(g, scores, NEVER, 'never'),
      indices,
      log(g, above, 'logarithms'),
      axis,
      'scores',
    ),
    total: normalised ? factor : scaled(g, sumOfAxis(g, chosen, axis, 'total'), factor),
  }
}

/** x [..., experts] with experts outside of a token's best groups far below all others. */
export function bestGroups(g: Graph, x: Value, { count, chosen, leaders }: ExpertGroups): Value {
  const outer = x.shape.slice(0, -1)
  const experts = Number(x.shape.at(-1))
  const grouped = reshape(g, x, [...outer, count, experts / count], 'groups')
  const leading = largestFew(g, grouped, leaders, 'leaders').values
  const merits = reshape(g, sumOfAxis(g, leading, outer.length + 1, 'group_sums'), [...outer, count], 'group_merits')
  const { values: best, indices } = largestFew(g, merits, chosen, 'best_groups')
  const out = filledLike(g, merits, 1, 'out')
  const marks = scatterElements(g, out, indices, filledLike(g, best, 0, 'in'), outer.length, 'marks')
  const isOut = less(g, constantLike(g, x, 0, 'zero'), reshape(g, marks, [...outer, count, 1], 'group_marks'), 'is_out')
  const kept = where(g, isOut, constantLike(g, x, NEVER, 'never'), grouped, 'kept')
  return reshape(g, kept, x.shape, 'allowed')
}

/** x times a number, or x itself where it is 1. */
export function scaled(g: Graph, x: Value, factor: number): Value {
  return factor === 1 ? x : scale(g, x, factor, 'factor')
}
