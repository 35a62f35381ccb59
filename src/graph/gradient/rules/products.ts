import { foldIntoRows, fusedMatMul } from '../../matrix-ops.ts'
import type { Shape, Value } from '../../value.ts'
import {
  floatAttribute,
  gradientOf,
  inputOf,
  intAttribute,
  type NodeGradient,
  type Rules,
  uncovered,
  whole,
} from '../rule.ts'

/** Products of matrices, leading axes broadcast. */
export const PRODUCTS: Rules = {
  '/MatMul': whole((at) => ofProduct(at, { transA: false, transB: false, alpha: 1 })),
  'com.microsoft/FusedMatMul': whole((at) => {
    if (intAttribute(at.node, 'transBatchA', 0) !== 0 || intAttribute(at.node, 'transBatchB', 0) !== 0)
      throw uncovered(at, 'with transBatchA or transBatchB has no gradient')
    return ofProduct(at, {
      transA: intAttribute(at.node, 'transA', 0) !== 0,
      transB: intAttribute(at.node, 'transB', 0) !== 0,
      alpha: floatAttribute(at.node, 'alpha', 1),
    })
  }),
}

interface Product {
  readonly transA: boolean
  readonly transB: boolean
  readonly alpha: number
}

/** Y = alpha A B: dA = alpha dY B^T and dB = alpha A^T dY, written so that nothing is transposed in memory. */
function ofProduct(at: NodeGradient, { transA, transB, alpha }: Product): (Value | undefined)[] {
  const { g } = at
  const [a, b, dY] = [inputOf(at, 0), inputOf(at, 1), gradientOf(at)]
  if (a.shape.length < 2 || b.shape.length < 2) throw uncovered(at, 'of vectors has no gradient, only of matrices')
  const ofA = (): Value =>
    transA
      ? fusedMatMul(g, b, dY, { transA: transB, transB: true, alpha }, 'of_a')
      : fusedMatMul(g, dY, b, { transB: !transB, alpha }, 'of_a')
  const ofB = (): Value => {
    // Matrices that share one of b are rows of one product: their sum is made by it.
    const shared = transA ? 0 : sharedAxes(a.shape, b.shape)
    const [left, right] = [foldIntoRows(g, a, shared, 'a_rows'), foldIntoRows(g, dY, shared, 'gradient_rows')]
    return transB
      ? fusedMatMul(g, right, left, { transA: true, transB: transA, alpha }, 'of_b')
      : fusedMatMul(g, left, right, { transA: !transA, alpha }, 'of_b')
  }
  return [at.wants(0) ? ofA() : undefined, at.wants(1) ? ofB() : undefined]
}

/** How many axes before its rows `a` has for which b has a single matrix. */
function sharedAxes(a: Shape, b: Shape): number {
  let count = 0
  while (count < a.length - 2 && (b[b.length - 3 - count] ?? 1) === 1) count++
  return count
}
