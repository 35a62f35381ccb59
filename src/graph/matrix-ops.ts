import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { int64s } from './int64s.ts'
import { wantDType } from './ops.ts'
import { broadcast, productOf } from './shapes.ts'
import { describe, float, int, type Dim, type Value } from './value.ts'

/** Which operands of a product are transposed, and a factor of the result. */
export interface ProductOptions {
  readonly transA?: boolean | undefined
  readonly transB?: boolean | undefined
  /** 1 by default. */
  readonly alpha?: number | undefined
}

/**
 * alpha * op(a) op(b), where op swaps the last two axes of an operand that is to be transposed, without a copy; a and b
 * have at least two axes, and leading axes are broadcast. Throws `GRAPH_SHAPE` or `GRAPH_DTYPE`.
 */
export function fusedMatMul(
  g: Graph,
  a: Value,
  b: Value,
  { transA = false, transB = false, alpha = 1 }: ProductOptions,
  name: string,
): Value {
  const op = 'FusedMatMul'
  wantDType(g, op, name, b, a.dtype)
  const [m, k] = matrixOf(a, transA)
  const [inner, n] = matrixOf(b, transB)
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2))
  if (m === undefined || n === undefined || k !== inner || batch === undefined) {
    const problem = `cannot multiply ${factor(a, transA)} by ${factor(b, transB)}`
    throw new GraphError('GRAPH_SHAPE', `node ${g.nodeName(name)}`, `${op} ${problem}`)
  }
  return g.node({
    op,
    domain: 'com.microsoft',
    name,
    inputs: [a, b],
    outputs: [{ dtype: a.dtype, shape: [...batch, m, n] }],
    attributes: { transA: int(Number(transA)), transB: int(Number(transB)), alpha: float(alpha) },
  })[0]!
}

/**
 * x [..., rows, columns] with the `count` axes before the rows as part of the rows: those keep size 1. Moves nothing
 * in memory.
 */
export function foldIntoRows(g: Graph, x: Value, count: number, name: string): Value {
  if (count === 0) return x
  const rows = x.shape.length - 2
  const isFolded = (axis: number) => axis >= rows - count && axis < rows
  const shape = x.shape.map((dim, axis) =>
    isFolded(axis) ? 1 : axis === rows ? productOf(x.shape.slice(rows - count, rows + 1)) : dim,
  )
  // Reshape's operand: 0 keeps the size that is there, -1 is inferred.
  const operand = shape.map((_, axis) => (isFolded(axis) ? 1 : axis === rows ? -1 : 0))
  const to = g.constant(`${name}.shape`, int64s(operand))
  return g.node({ op: 'Reshape', name, inputs: [x, to], outputs: [{ dtype: x.dtype, shape }] })[0]!
}

function matrixOf({ shape }: Value, transposed: boolean): readonly [Dim | undefined, Dim | undefined] {
  const [rows, columns] = shape.length < 2 ? [undefined, undefined] : shape.slice(-2)
  return transposed ? [columns, rows] : [rows, columns]
}

function factor(x: Value, transposed: boolean): string {
  return `${describe(x)}${transposed ? ', transposed' : ''}`
}
