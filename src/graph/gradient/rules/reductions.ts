import { cast, mul, sub } from '../../ops.ts'
import { div, equal, exp } from '../../primitive-ops.ts'
import { reduceAxes, sumOfLast } from '../../reduce-ops.ts'
import type { Value } from '../../value.ts'
import {
  axisOf,
  constantInts,
  gradientOf,
  inputOf,
  intAttribute,
  type NodeGradient,
  number,
  type Rules,
  uncovered,
  whole,
} from '../rule.ts'

/** Sums, means and largest elements along axes, and what is made of them. */
export const REDUCTIONS: Rules = {
  '/ReduceSum': whole((at) => [kept(at, gradientOf(at))]),
  '/ReduceMean': whole((at) => {
    const x = inputOf(at)
    const dims = reducedAxes(at).map((axis) => x.shape[axis]!)
    const count = dims.every((dim) => typeof dim === 'number')
      ? number(
          at,
          dims.reduce((product, dim) => product * dim, 1),
          x,
        )
      : at.sizes.product(dims, x.dtype, 'count')
    return [div(at.g, kept(at, gradientOf(at)), count, 'share')]
  }),
  // Several elements that are equally large share the gradient.
  '/ReduceMax': whole((at) => {
    const x = inputOf(at)
    const { g } = at
    const isLargest = equal(g, x, kept(at, at.node.outputs[0]!), 'is_largest')
    const marks = cast(g, isLargest, x.dtype, 'marks')
    const count = reduceAxes(g, 'ReduceSum', marks, reducedAxes(at), {}, 'how_many')
    return [mul(g, marks, div(g, kept(at, gradientOf(at)), count, 'share'), 'of_largest')]
  }),
  // p = softmax(x): dx = p (dp - sum(p dp))
  '/Softmax': whole((at) => {
    wantLastAxis(at)
    const [p, { g }] = [at.node.outputs[0]!, at]
    const mean = sumOfLast(g, mul(g, p, gradientOf(at), 'weighted'), 'mean')
    return [mul(g, p, sub(g, gradientOf(at), mean, 'above_mean'), 'softmax')]
  }),
  // y = x - log(sum(exp(x))): dx = dy - exp(y) sum(dy)
  '/LogSoftmax': whole((at) => {
    wantLastAxis(at)
    const { g } = at
    const shares = exp(g, at.node.outputs[0]!, 'shares')
    return [sub(g, gradientOf(at), mul(g, shares, sumOfLast(g, gradientOf(at), 'total'), 'of_total'), 'log_softmax')]
  }),
}

/** The axes that a reduction takes together; all where none are named. */
function reducedAxes(at: NodeGradient): number[] {
  const [x, axes] = at.node.inputs
  const rank = x!.shape.length
  if (axes === undefined) return [...Array(rank).keys()]
  const known = constantInts(at.g, axes)
  if (known === undefined || known.length === 0) throw uncovered(at, 'has a gradient only along constant axes')
  return known.map((axis) => axisOf(axis, rank))
}

/** A reduction's result, or the gradient of it, with an axis of size 1 for each one that was reduced. */
function kept(at: NodeGradient, value: Value): Value {
  const reduced = reducedAxes(at)
  const shape = inputOf(at).shape.map((dim, axis) => (reduced.includes(axis) ? 1 : dim))
  return at.sizes.reshape(value, shape, 'kept_axes')
}

function wantLastAxis(at: NodeGradient): void {
  const rank = inputOf(at).shape.length
  if (axisOf(intAttribute(at.node, 'axis', -1), rank) !== rank - 1)
    throw uncovered(at, 'has a gradient only along the last axis')
}
