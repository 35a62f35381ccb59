import type { QuantLayout } from '../tensor/quantize.ts'
import type { Graph } from './builder.ts'
import { concatLast, mul, scale, wantDType, wantShape } from './ops.ts'
import { filled, softmax } from './primitive-ops.ts'
import { float, int, string, type Value } from './value.ts'

/** The inputs of a mixture of experts. */
export interface MixtureInputs {
  /** [rows, tokens, hidden] */
  readonly x: Value
  /** The router's scores before softmax: [rows, tokens, experts]. */
  readonly scores: Value
  /** [slices * experts, 2 * width, hidden]: gate and up matrices, with alternating rows. */
  readonly gateUp: ExpertWeight
  /** [slices * experts, hidden, width] */
  readonly down: ExpertWeight
}

/** The matrices [experts, out, in] of all experts, or their codes and scales in a quantized format. */
export interface ExpertWeight {
  readonly matrices: Value
  /** [experts, out, blocks of a row]. */
  readonly scales?: Value | undefined
  readonly shape: readonly [number, number, number]
}

/** How experts are chosen and stored. */
export interface MixtureOptions {
  /** How many experts compute each token. */
  readonly topK: number
  /** Whether the weights of a token's chosen experts are divided by their sum, so that they add up to one. */
  readonly normalised: boolean
  /** How many experts of the operator make up one expert of the model (see `expertSlices`). */
  readonly slices: number
  readonly quant?: QuantLayout | undefined
}

/**
 * Adds a mixture of experts: the weighted sum of down(silu(gate(x)) * up(x)) over each token's `topK` best experts,
 * [rows, tokens, hidden] (Shazeer et al., "Outrageously Large Neural Networks"). The operator reads only the weights of
 * experts that some token has chosen.
 */
export function mixtureOfExperts(
  g: Graph,
  { x, scores, gateUp, down }: MixtureInputs,
  { topK, normalised, slices, quant }: MixtureOptions,
  name: string,
): Value {
  const [experts, hidden, width] = down.shape
  for (const { matrices } of [gateUp, down])
    wantDType(g, 'MoE', name, matrices, quant === undefined ? x.dtype : 'uint8')
  wantShape(g, 'MoE', name, x, [...x.shape.slice(0, -1), hidden])
  wantShape(g, 'MoE', name, scores, [...x.shape.slice(0, -1), experts / slices])
  const perByte = quant === undefined ? 1 : 8 / quant.bits
  wantShape(g, 'MoE', name, gateUp.matrices, [experts, 2 * width, hidden / perByte])
  wantShape(g, 'MoE', name, down.matrices, [experts, hidden, width / perByte])
  return g.scope(name, () => {
    const shape = g.constant('flat_shape', {
      dtype: 'int64',
      shape: [2],
      data: new Uint8Array(BigInt64Array.of(-1n, BigInt(experts)).buffer),
    })
    const [flat] = g.node({
      op: 'Reshape',
      name: 'flat_scores',
      inputs: [
        slices === 1
          ? scores
          : concatLast(
              g,
              Array.from({ length: slices }, () => scores),
              'slice_scores',
            ),
        shape,
      ],
      outputs: [{ dtype: scores.dtype, shape: ['all_tokens', experts] }],
    })
    const [mixed] = g.node({
      op: quant === undefined ? 'MoE' : 'QMoE',
      domain: 'com.microsoft',
      name: 'mix',
      outputs: [x],
      inputs:
        quant === undefined
          ? [x, flat, gateUp.matrices, undefined, down.matrices]
          : [x, flat, gateUp.matrices, gateUp.scales, undefined, down.matrices, down.scales],
      attributes: {
        // The operator always normalises the chosen experts' weights to a sum of one; `chosenShare` undoes that.
        k: int(topK * slices),
        normalize_routing_weights: int(1),
        // SwiGLU as in Mixtral; the operator's own defaults (alpha, beta) are another model's.
        activation_type: string('swiglu'),
        swiglu_fusion: int(1),
        activation_alpha: float(1),
        activation_beta: float(0),
        ...(quant !== undefined && { expert_weight_bits: int(quant.bits), block_size: int(quant.blockSize) }),
      },
    })
    // The operator divided the weights among the slices of each expert; here they are multiplied again.
    const whole = slices === 1 ? mixed! : scale(g, mixed!, slices, 'whole')
    return normalised ? whole : mul(g, whole, chosenShare(g, scores, topK), 'weighted')
  })
}

/** The share of softmax(scores) that falls to the best `topK` experts: [..., experts] -> [..., 1]. */
function chosenShare(g: Graph, scores: Value, topK: number): Value {
  const shape = (size: number) => ({ dtype: scores.dtype, shape: [...scores.shape.slice(0, -1), size] })
  const best = (values: Value): Value => {
    const count = filled(g, 'count', 'int64', [1], topK)
    return g.node({
      op: 'TopK',
      name: 'chosen',
      inputs: [values, count],
      outputs: [shape(topK), { ...shape(topK), dtype: 'int64' }],
      attributes: { axis: int(-1) },
    })[0]!
  }
  const axes = filled(g, 'axes', 'int64', [1], -1)
  return g.node({
    op: 'ReduceSum',
    name: 'share',
    inputs: [best(softmax(g, scores, 'probabilities')), axes],
    outputs: [shape(1)],
    attributes: { keepdims: int(1) },
  })[0]!
}
