import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { int64s } from './int64s.ts'
import { describe, int, type Value } from './value.ts'

/** How several elements become one. */
export type Reduction = 'ReduceSum' | 'ReduceMean' | 'ReduceMax'

/**
 * The elements along several axes of x as one; the axes stay with size 1, or go where `keep` is false. Throws
 * `GRAPH_SHAPE` for axes that x does not have.
 */
export function reduceAxes(
  g: Graph,
  op: Reduction,
  x: Value,
  axes: readonly number[],
  { keep = true }: { readonly keep?: boolean },
  name: string,
): Value {
  if (axes.length === 0 || axes.some((axis) => axis < 0 || axis >= x.shape.length))
    throw new GraphError(
      'GRAPH_SHAPE',
      `node ${g.nodeName(name)}`,
      `${op} has no axes ${axes.join()} in ${describe(x)}`,
    )
  const inputs = [x, g.constant(`${name}.axes`, int64s(axes))]
  const shape = keep
    ? x.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : x.shape.filter((_, axis) => !axes.includes(axis))
  const attributes = { keepdims: int(Number(keep)) }
  return g.node({ op, name, inputs, outputs: [{ dtype: x.dtype, shape }], attributes })[0]!
}

/** The sum along the last axis, which stays with size 1. */
export function sumOfLast(g: Graph, x: Value, name: string): Value {
  return reduceAxes(g, 'ReduceSum', x, [x.shape.length - 1], {}, name)
}
