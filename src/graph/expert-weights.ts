import { QUANT_LAYOUTS, type QuantLayout } from '../tensor/quantize.ts'
import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import {
  anyWidth,
  type ExpertMatrix,
  expertParts,
  expertSlices,
  type ExpertsOptions,
  type WidthRule,
} from './expert-parts.ts'
import { quantizedParameters } from './linear.ts'
import { lowerExperts, quantOf, type Target } from './lowering.ts'
import type { ExpertWeight } from './moe.ts'
import type { FloatMatrix } from './parameter.ts'

/** The parameters of a mixture of experts. */
export interface ExpertWeights {
  readonly gateUp: ExpertWeight
  readonly down: ExpertWeight
  readonly slices: number
  readonly quant: QuantLayout | undefined
}

/**
 * Declares the matrices of all experts, which checkpoints store one by one, as the two parameters that the target's
 * kernel takes. Throws `GRAPH_UNSUPPORTED` if the target has no such kernel.
 */
export function expertWeights(g: Graph, target: Target, name: string, options: ExpertsOptions): ExpertWeights {
  lowerExperts(target)
  if (target.stored !== undefined)
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      'a mixture of experts of a quantized checkpoint',
      'name the checkpoint that it was quantized from, with --quant',
    )
  const format = quantOf(target)
  const quant = format && QUANT_LAYOUTS[format]
  const slices = expertSlices(options.intermediateSize, quant === undefined ? anyWidth : wholeBlocks(quant))
  const { gateUp, down } = expertParts(options, slices)
  if (quant !== undefined) checkBlocks(quant, options)
  const declare = (part: string, { shape, parts }: ExpertMatrix): ExpertWeight => {
    const matrix: FloatMatrix = { name: `${name}.${part}`, shape, source: { kind: 'assembled', parts } }
    if (format === undefined || quant === undefined) {
      return {
        matrices: g.parameter({ ...matrix, dtype: target.dtype, placement: 'external', prepacked: false }),
        shape,
      }
    }
    const [experts, out, inner] = shape
    const shapes = { codes: [experts, out, (inner * quant.bits) / 8], scales: [experts, out, inner / quant.blockSize] }
    const { codes, scales } = quantizedParameters(g, { format, matrix, shapes, prepacked: false, dtype: target.dtype })
    return { matrices: codes, scales, shape }
  }
  return { gateUp: declare('gate_up', gateUp), down: declare('down', down), slices, quant }
}

/** The rule of kernels for quantized experts: rows must be whole blocks. */
function wholeBlocks({ blockSize }: QuantLayout): WidthRule {
  return (width) => width % blockSize === 0
}

function checkBlocks({ blockSize }: QuantLayout, { intermediateSize, hiddenSize }: ExpertsOptions): void {
  for (const [what, size] of [
    ['hidden', hiddenSize],
    ['intermediate', intermediateSize],
  ] as const) {
    if (size % blockSize === 0) continue
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      `quantized experts of ${what} size ${size}`,
      `their kernel takes multiples of ${blockSize}: say --quant none`,
    )
  }
}
