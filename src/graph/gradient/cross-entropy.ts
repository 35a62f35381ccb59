import type { Graph } from '../builder.ts'
import { mul, reshape, sub } from '../ops.ts'
import {
  constantLike,
  div,
  equal,
  exp,
  filledLike,
  gatherElements,
  largestOfAxis,
  log,
  scatterElements,
  sumOfAxis,
  where,
} from '../primitive-ops.ts'
import type { Value } from '../value.ts'

export interface CrossEntropy {
  /** -log softmax(logits)[target] of each row, [rows]; 0 where its weight is 0. */
  readonly losses: Value
  /** The gradient of the sum of weights * losses with respect to the logits, [rows, classes]. */
  readonly gradient: Value
}

/**
 * The cross entropy of `logits` [rows, classes] and the right class of each row, int64 [rows], with a weight for each
 * row, [rows]. Logits are taken off the row's largest first, so that nothing overflows; the gradient is weight *
 * (softmax - one-hot), which a walk over these nodes would give less exactly.
 */
export function crossEntropy(g: Graph, logits: Value, targets: Value, weights: Value): CrossEntropy {
  return g.scope('loss', () => {
    const [rows = 1] = logits.shape
    const column = (x: Value, name: string): Value => reshape(g, x, [rows, 1], name)
    const index = column(targets, 'target')
    const weight = column(weights, 'weight')
    const shifted = sub(g, logits, largestOfAxis(g, logits, 1, 'largest'), 'shifted')
    const powers = exp(g, shifted, 'powers')
    const sum = sumOfAxis(g, powers, 1, 'sum')
    const right = gatherElements(g, shifted, index, 'right')
    const all = sub(g, log(g, sum, 'log_sum'), right, 'all')
    const zero = constantLike(g, all, 0, 'zero')
    const losses = where(g, equal(g, weight, zero, 'is_nothing'), zero, all, 'losses')
    const probabilities = div(g, powers, sum, 'probabilities')
    const ofRight = sub(g, gatherElements(g, probabilities, index, 'of_right'), filledLike(g, right, 1, 'one'), 'off')
    const gradient = mul(g, scatterElements(g, probabilities, index, ofRight, 1, 'gradients'), weight, 'weighted')
    return { losses: reshape(g, losses, [rows], 'row_losses'), gradient }
  })
}
