import type { Graph } from '../builder.ts'
import { reduceAxes } from '../reduce-ops.ts'
import type { Shape, Value } from '../value.ts'
import type { Sizes } from './sizes.ts'

/**
 * Undoes broadcasting: the sum of a gradient over the axes along which a value of shape `to` was repeated to become
 * `over`. Axes along which the gradient itself is only one element for many equal ones stay so, where `to` has them.
 */
export function reduceTo(g: Graph, sizes: Sizes, gradient: Value, over: Shape, to: Shape): Value {
  const rank = over.length
  const dimOf = (shape: Shape, axis: number) => shape[axis - rank + shape.length] ?? 1
  const isRepeated = (axis: number) => dimOf(to, axis) === 1 && over[axis] !== 1
  const axes = [...over.keys()]
  // A sum over equal elements of which only one is there.
  const isShort = axes.some((axis) => isRepeated(axis) && dimOf(gradient.shape, axis) === 1)
  const full = isShort ? sizes.expand(gradient, over, 'repeated') : gradient
  const offset = rank - full.shape.length
  const summed = axes.filter((axis) => isRepeated(axis)).map((axis) => axis - offset)
  const extra = full.shape.length - to.length
  if (summed.length === 0) return extra > 0 ? sizes.reshape(full, full.shape.slice(extra), 'dropped_axes') : full
  // Axes that `to` does not have go; of size 1 they can be summed over as well.
  const leading = [...Array(Math.max(extra, 0)).keys()]
  if (summed.every((axis) => axis < extra)) return reduceAxes(g, 'ReduceSum', full, leading, { keep: false }, 'sum')
  const kept = reduceAxes(g, 'ReduceSum', full, [...new Set([...leading, ...summed])], {}, 'sum')
  return extra > 0 ? sizes.reshape(kept, kept.shape.slice(extra), 'dropped_axes') : kept
}
