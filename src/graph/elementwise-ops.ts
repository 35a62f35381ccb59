import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { isFloat } from './ops.ts'
import { describe, type Value } from './value.ts'

/** -x */
export function neg(g: Graph, x: Value, name: string): Value {
  return ofFloats(g, 'Neg', x, name)
}

/** -1, 0 or 1. */
export function sign(g: Graph, x: Value, name: string): Value {
  return ofFloats(g, 'Sign', x, name)
}

/** The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x. */
export function erf(g: Graph, x: Value, name: string): Value {
  return ofFloats(g, 'Erf', x, name)
}

function ofFloats(g: Graph, op: string, x: Value, name: string): Value {
  if (!isFloat(x))
    throw new GraphError('GRAPH_DTYPE', `node ${g.nodeName(name)}`, `${op} takes floats, not ${describe(x)}`)
  return g.node({ op, name, inputs: [x], outputs: [x] })[0]!
}
