import type { Graph } from '../../../src/graph/builder.ts'
import { fusedMatMul } from '../../../src/graph/matrix-ops.ts'
import {
  add,
  concatLast,
  matMulTransposed,
  mul,
  quickGelu,
  reshape,
  rmsNorm,
  splitLast,
  sub,
} from '../../../src/graph/ops.ts'
import { filled, indicesOfAxis, lessOrEqual, softmax, transpose, where } from '../../../src/graph/primitive-ops.ts'
import type { Value } from '../../../src/graph/value.ts'
import type { Inputs } from './check.ts'

export const SIZE = { hidden: 16, heads: 4, kvHeads: 2, headDim: 4, intermediate: 24, rank: 3 } as const

/** A block like Llama's, of what a training form is made of; all weights are inputs. */
export interface LlamaBlock {
  readonly hidden: Value
  readonly output: Value
  /** Matrices of adapters, if any. */
  readonly lora: readonly Value[]
}

export function llamaBlock(inputs: Inputs, adapters: boolean): LlamaBlock {
  const { graph: g } = inputs
  const { hidden: size, heads, kvHeads, headDim, intermediate, rank } = SIZE
  const lora: Value[] = []
  const linear = (x: Value, out: number): Value => {
    const product = matMulTransposed(g, x, inputs.float([out, x.shape.at(-1)!], [-0.5, 0.5]))
    if (!adapters) return product
    const [a, b] = [inputs.float([rank, x.shape.at(-1)!]), inputs.float([rank, out])]
    lora.push(a, b)
    return add(g, product, fusedMatMul(g, matMulTransposed(g, x, a), b, {}, 'lora'))
  }
  const hidden = inputs.float(['rows', 'tokens', size])
  const table = (): Value => reshape(g, inputs.float(['tokens', headDim / 2]), ['tokens', 1, headDim / 2])
  const [cos, sin] = [table(), table()]
  const normed = rmsNorm(g, hidden, inputs.float([size]), 1e-5)
  const headsOf = (x: Value, count: number, turned: boolean): Value => {
    const split = reshape(g, x, ['rows', 'tokens', count, headDim])
    return transpose(g, turned ? rotate(g, split, cos, sin) : split, [0, 2, 1, 3], 'heads_first')
  }
  const grouped = (x: Value, group: number): Value => reshape(g, x, ['rows', kvHeads, group, 'tokens', headDim])
  const query = grouped(headsOf(linear(normed, heads * headDim), heads, true), heads / kvHeads)
  const key = grouped(headsOf(linear(normed, kvHeads * headDim), kvHeads, true), 1)
  const value = grouped(headsOf(linear(normed, kvHeads * headDim), kvHeads, false), 1)
  const scores = fusedMatMul(g, query, key, { transB: true, alpha: 1 / Math.sqrt(headDim) }, 'scores')
  const positions = indicesOfAxis(g, query, 3, 'positions')
  const isSeen = lessOrEqual(g, positions, reshape(g, positions, ['tokens', 1]), 'is_seen')
  const weights = softmax(g, where(g, isSeen, scores, filled(g, 'masked', 'float32', [1], -1e30), 'masked'), 'weights')
  const mixed = reshape(g, fusedMatMul(g, weights, value, {}, 'mixed'), ['rows', heads, 'tokens', headDim])
  const attended = reshape(g, transpose(g, mixed, [0, 2, 1, 3], 'tokens_first'), ['rows', 'tokens', heads * headDim])
  const between = add(g, hidden, linear(attended, size))
  const second = rmsNorm(g, between, inputs.float([size]), 1e-5)
  const gated = mul(g, quickGelu(g, linear(second, intermediate), 1), linear(second, intermediate))
  return { hidden, output: add(g, between, linear(gated, size)), lora }
}

function rotate(g: Graph, x: Value, cos: Value, sin: Value): Value {
  const [a, b] = splitLast(g, x, [SIZE.headDim / 2, SIZE.headDim / 2]) as [Value, Value]
  return concatLast(g, [sub(g, mul(g, a, cos), mul(g, b, sin)), add(g, mul(g, b, cos), mul(g, a, sin))])
}
