import type { Graph } from './builder.ts'
import { concatLast, mul, scale, wantDType, wantShape } from './ops.ts'
import { filled, softmax } from './primitive-ops.ts'
import { float, int, string, type Value } from './value.ts'

export interface MixtureInputs {
  /** [rows, tokens, hidden] */
  readonly x: Value
  /** The router's scores before softmax: [rows, tokens, experts]. */
  readonly scores: Value
  /** [slices * experts, 2 * width, hidden]: gate and up matrices, their rows in turn. */
  readonly gateUp: Value
  /** [slices * experts, hidden, width] */
  readonly down: Value
}

export interface MixtureOptions {
  /** Experts that each token goes through. */
  readonly topK: number
  /** Whether the chosen experts' weights add up to one. */
  readonly normalised: boolean
  /** Experts in the operator's sense that one of the model's is taken apart into. */
  readonly slices: number
}

/**
 * The weighted sum of each token's best experts, each of them down(silu(gate(x)) * up(x)): [rows, tokens, hidden]
 * (Shazeer et al., "Outrageously Large Neural Networks"). Only the weights of experts that some token has chosen are read.
 */
export function mixtureOfExperts(g: Graph, { x, scores, gateUp, down }: MixtureInputs, { topK, normalised, slices }: MixtureOptions, name: string): Value {
  const [experts = 1, hidden = 1, width = 1] = down.shape
  for (const weight of [gateUp, down]) wantDType(g, 'MoE', name, weight, x.dtype)
  wantShape(g, 'MoE', name, x, [...x.shape.slice(0, -1), hidden])
  wantShape(g, 'MoE', name, scores, [...x.shape.slice(0, -1), Number(experts) / slices])
  wantShape(g, 'MoE', name, gateUp, [experts, 2 * Number(width), hidden])
  return g.scope(name, () => {
    const shape = g.constant('flat_shape', { dtype: 'int64', shape: [2], data: new Uint8Array(BigInt64Array.of(-1n, BigInt(experts)).buffer) })
    const [flat] = g.node({ op: 'Reshape', name: 'flat_scores', inputs: [slices === 1 ? scores : concatLast(g, Array.from({ length: slices }, () => scores), 'slice_scores'), shape], outputs: [{ dtype: scores.dtype, shape: ['all_tokens', experts] }] })
    const [mixed] = g.node({
      op: 'MoE', domain: 'com.microsoft', name: 'mix', inputs: [x, flat, gateUp, undefined, down], outputs: [x],
      attributes: {
        // The operator only knows weights that add up to one.
        k: int(topK * slices), normalize_routing_weights: int(1),
        // SwiGLU as Mixtral has it; the operator's own defaults are those of another model.
        activation_type: string('swiglu'), swiglu_fusion: int(1), activation_alpha: float(1), activation_beta: float(0),
      },
    })
    // Weights that add up to one are shared out among the slices.
    const whole = slices === 1 ? mixed! : scale(g, mixed!, slices, 'whole')
    return normalised ? whole : mul(g, whole, chosenShare(g, scores, topK), 'weighted')
  })
}

/** How much of softmax(scores) falls to the best `topK`: [..., experts] -> [..., 1]. */
function chosenShare(g: Graph, scores: Value, topK: number): Value {
  const shape = (size: number) => ({ dtype: scores.dtype, shape: [...scores.shape.slice(0, -1), size] })
  const best = (values: Value): Value => {
    const count = filled(g, 'count', 'int64', [1], topK)
    return g.node({ op: 'TopK', name: 'chosen', inputs: [values, count], outputs: [shape(topK), { ...shape(topK), dtype: 'int64' }], attributes: { axis: int(-1) } })[0]!
  }
  const axes = filled(g, 'axes', 'int64', [1], -1)
  return g.node({ op: 'ReduceSum', name: 'share', inputs: [best(softmax(g, scores, 'probabilities')), axes], outputs: [shape(1)], attributes: { keepdims: int(1) } })[0]!
}
