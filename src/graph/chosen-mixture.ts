import type { Graph } from './builder.ts'
import type { ChosenExperts } from './chosen-experts.ts'
import { openGates, splitPairs } from './expert-gate.ts'
import { type ExpertGate, SILU } from './moe.ts'
import { add, gather, matMulTransposed, mul, reshape } from './ops.ts'
import { sumOfAxis } from './primitive-ops.ts'
import { concatRows, cutRows, expertOrder, pick, reshapeLike } from './row-ops.ts'
import { productOf } from './shapes.ts'
import type { Value } from './value.ts'

/**
 * The matrices of each expert by itself, [2 * width, hidden] with alternating rows of gate and up, and [hidden, width].
 */
export interface SingleExpertWeights {
  readonly gateUp: readonly Value[]
  readonly down: readonly Value[]
  /** Biases [experts, out]. */
  readonly gateUpBias?: Value | undefined
  readonly downBias?: Value | undefined
}

/**
 * A mixture of experts of operators that have gradients: what `mixtureOfExperts` computes, x [rows, tokens, hidden] ->
 * [rows, tokens, hidden]. Each token's row is copied once for each of its experts, the copies are brought into the
 * order of experts and cut into a piece for each, which is multiplied by the expert's matrices alone; in between all
 * pieces are one value. The piece of an expert that no token has chosen is empty, and its matrices are not read.
 */
export function chosenMixture(
  g: Graph,
  x: Value,
  { indices, weights }: ChosenExperts,
  experts: SingleExpertWeights,
  gate: ExpertGate | undefined,
  name: string,
): Value {
  return g.scope(name, () => {
    const [rows = 1, tokens = 1, hidden = 1] = x.shape
    const all = productOf([rows, tokens]),
      topK = indices.shape.at(-1) ?? 1
    const order = expertOrder(g, indices, experts.gateUp.length)
    const byExpert = (of: Value, matrices: readonly Value[], bias: Value | undefined, product: string) =>
      g.scope(product, () => {
        const pieces = cutRows(g, of, order.counts, matrices.length, 'pieces')
        const products = pieces.map((piece, i) => matMulTransposed(g, piece, matrices[i]!, `expert_${i}`))
        const whole = concatRows(g, products, of.shape[0]!, 'products')
        return bias === undefined ? whole : add(g, whole, gather(g, bias, order.experts, 'biases'), 'add_bias')
      })

    const flat = reshape(g, x, [all, hidden], 'flat')
    const gateUp = byExpert(pick(g, flat, order.fromTokens, 'sorted'), experts.gateUp, experts.gateUpBias, 'gate_up')
    const outputs = byExpert(
      openGates(g, ...splitPairs(g, gateUp), gate ?? SILU),
      experts.down,
      experts.downBias,
      'down',
    )
    const ofTokens = reshape(g, pick(g, outputs, order.toTokens, 'unsorted'), [all, topK, hidden], 'of_tokens')
    const shares = reshape(g, weights, [all, topK, 1], 'shares')
    const mixed = reshape(g, sumOfAxis(g, mul(g, ofTokens, shares, 'weighted'), 1, 'sum'), [all, hidden], 'mixed')
    return reshapeLike(g, mixed, x, 'of_rows')
  })
}
