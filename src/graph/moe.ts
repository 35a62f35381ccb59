import type { QuantLayout } from '../tensor/quantize.ts'
import type { Graph } from './builder.ts'
import { concatLast, mul, scale, wantDType, wantShape } from './ops.ts'
import type { Routing } from './routing.ts'
import { float, int, optional, string, type Value } from './value.ts'

/** The inputs of a mixture of experts. */
export interface MixtureInputs {
  /** [rows, tokens, hidden] */
  readonly x: Value
  /** Which experts compute each token. */
  readonly routing: Routing
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
  /** [experts, out] */
  readonly bias?: Value | undefined
  readonly shape: readonly [number, number, number]
}

/**
 * The gate of experts: gate * sigmoid(alpha * gate) * (up + offset), after both were clamped to a limit if there is
 * one.
 */
export interface ExpertGate {
  readonly alpha: number
  readonly offset: number
  /** The largest gate, and the largest magnitude of up. */
  readonly limit?: number | undefined
}

/** SiLU, as in Mixtral. */
export const SILU: ExpertGate = { alpha: 1, offset: 0 }

/** How experts are stored. */
export interface MixtureOptions {
  readonly gate?: ExpertGate | undefined
  /** How many experts of the operator make up one expert of the model (see `expertSlices`). */
  readonly slices: number
  readonly quant?: QuantLayout | undefined
}

/**
 * Adds a mixture of experts: the weighted sum of down(silu(gate(x)) * up(x)), or another gate, over each token's chosen
 * experts, [rows, tokens, hidden]. The operator reads only the weights of experts that some token has chosen.
 */
export function mixtureOfExperts(
  g: Graph,
  { x, routing: { topK, scores, total }, gateUp, down }: MixtureInputs,
  { gate: { alpha, offset, limit } = SILU, slices, quant }: MixtureOptions,
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
          ? optional([x, flat, gateUp.matrices, gateUp.bias, down.matrices, down.bias])
          : optional([x, flat, gateUp.matrices, gateUp.scales, gateUp.bias, down.matrices, down.scales, down.bias]),
      attributes: {
        // The operator always normalises the chosen experts' weights to a sum of one; `total` undoes that.
        k: int(topK * slices),
        normalize_routing_weights: int(1),
        activation_type: string('swiglu'),
        swiglu_fusion: int(1),
        activation_alpha: float(alpha),
        activation_beta: float(offset),
        ...(limit !== undefined && { swiglu_limit: float(limit) }),
        ...(quant !== undefined && { expert_weight_bits: int(quant.bits), block_size: int(quant.blockSize) }),
      },
    })
    // The operator divided the weights among the slices of each expert; here they are multiplied again.
    const factor = slices * (typeof total === 'number' ? total : 1)
    const whole = factor === 1 ? mixed! : scale(g, mixed!, factor, 'whole')
    return typeof total === 'number' ? whole : mul(g, whole, total, 'weighted')
  })
}
