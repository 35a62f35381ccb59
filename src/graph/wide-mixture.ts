import { QUANT_LAYOUTS } from '../tensor/quantize.ts'
import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { openGates, splitPairs } from './expert-gate.ts'
import type { ExpertShares } from './expert-shares.ts'
import { type ExpertsOptions, type WideMatrix, wideParts } from './expert-parts.ts'
import { requireReadable } from './expert-weights.ts'
import { matrixProduct } from './linear.ts'
import { float8Of, quantOf, type Target } from './lowering.ts'
import { SILU } from './moe.ts'
import { add, mul, reshape } from './ops.ts'
import type { MatrixPart } from './parameter.ts'
import { constantLike, less, matMul, where } from './primitive-ops.ts'
import type { Value } from './value.ts'

/**
 * A mixture of experts for devices without an operator that computes one rightly, x [rows, tokens, hidden] -> [rows,
 * tokens, hidden]: one MLP as wide as all experts together, in whose middle each expert's channels are multiplied by
 * its share, which is zero for those that a token has not chosen. Every token reads and computes all experts. Throws
 * `GRAPH_UNSUPPORTED` for experts that are not stored so that they can be read, or cannot be quantized as asked.
 */
export function wideMixture(
  g: Graph,
  target: Target,
  x: Value,
  { shares }: ExpertShares,
  options: ExpertsOptions,
  name: string,
): Value {
  const { numExperts, intermediateSize, hiddenSize, gate = SILU } = options
  requireReadable(target, options)
  requireBlocks(target, options)
  const parts = wideParts(options)
  const product = (of: Value, what: string, { shape, parts: pieces }: WideMatrix): Value => {
    const source = { kind: 'assembled', parts: pieces, quant: float8Of(target) } as const
    return matrixProduct(g, target, of, { name: `${name}.${what}`, shape, source }, `${name}.${what}`)
  }
  const biases = (what: string, shape: readonly number[], bias: MatrixPart): Value =>
    g.parameter({
      name: `${name}.${what}.bias`,
      dtype: target.dtype,
      shape,
      placement: 'external',
      prepacked: false,
      source: { kind: 'assembled', parts: [bias] },
    })
  const biased = (wide: Value, bias: MatrixPart): Value =>
    add(g, wide, biases('gate_up', [2 * numExperts * intermediateSize], bias), `${name}.add_bias`)
  const [gates, up] =
    'gateUp' in parts
      ? splitPairs(g, biased(product(x, 'gate_up', parts.gateUp), parts.gateUpBias))
      : [product(x, 'gate', parts.gate), product(x, 'up', parts.up)]

  const outer = x.shape.slice(0, -1)
  const shared = g.scope(name, () => {
    const opened = openGates(g, gates, up, gate)
    const ofExperts = reshape(g, opened, [...outer, numExperts, intermediateSize], 'of_experts')
    const each = reshape(g, shares, [...outer, numExperts, 1], 'each_share')
    const zero = constantLike(g, each, 0, 'zero')
    // What an expert gives that nobody has chosen may be too large for the dtype: not a number, if multiplied by zero.
    const kept = where(g, less(g, zero, each, 'is_chosen'), mul(g, ofExperts, each, 'weighted'), zero, 'kept')
    return reshape(g, kept, opened.shape, 'side_by_side')
  })
  const mixed = product(shared, 'down', parts.down)
  if (!('gateUp' in parts)) return mixed
  const bias = matMul(g, shares, biases('down', [numExperts, hiddenSize], parts.downBias), `${name}.down_bias`)
  return add(g, mixed, bias, `${name}.add_down_bias`)
}

function requireBlocks(target: Target, { intermediateSize }: ExpertsOptions): void {
  const format = quantOf(target)
  if (format === undefined || intermediateSize % QUANT_LAYOUTS[format].blockSize === 0) return
  throw new GraphError(
    'GRAPH_UNSUPPORTED',
    `experts of intermediate size ${intermediateSize} in ${format}`,
    `multiples of ${QUANT_LAYOUTS[format].blockSize} can be quantized: say --quant none`,
  )
}
