import { QUANT_LAYOUTS, type QuantLayout } from '../tensor/quantize.ts'
import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import {
  anyWidth,
  type ExpertMatrix,
  expertParts,
  expertSlices,
  partsOfExpert,
  type ExpertsOptions,
  type WidthRule,
} from './expert-parts.ts'
import { quantizedParameters } from './linear.ts'
import { float8Of, lowerExperts, quantOf, type Target } from './lowering.ts'
import type { SingleExpertWeights } from './chosen-mixture.ts'
import type { ExpertWeight } from './moe.ts'
import type { FloatMatrix, MatrixPart, ParameterSource } from './parameter.ts'
import type { Value } from './value.ts'

/** The parameters of a mixture of experts. */
export interface ExpertWeights {
  readonly gateUp: ExpertWeight
  readonly down: ExpertWeight
  readonly slices: number
  readonly quant: QuantLayout | undefined
}

/** Declares one of the two parameters of a mixture of experts. */
type Declare = (part: string, matrix: ExpertMatrix) => ExpertWeight

/**
 * Declares the matrices of all experts as the two parameters that the target's kernel takes, however checkpoints store
 * them. Throws `GRAPH_UNSUPPORTED` if the target has no such kernel.
 */
export function expertWeights(g: Graph, target: Target, name: string, options: ExpertsOptions): ExpertWeights {
  lowerExperts(target)
  requireReadable(target, options)
  const isMicroscaled = target.stored?.method === 'mxfp4'
  const format = quantOf(target)
  const quant = isMicroscaled ? QUANT_LAYOUTS.int8 : format && QUANT_LAYOUTS[format]
  // On a GPU experts are not divided among threads.
  const slices =
    target.device !== 'cpu'
      ? 1
      : expertSlices(options.intermediateSize, quant === undefined ? anyWidth : wholeBlocks(quant))
  const { gateUp, down } = expertParts(options, slices)
  if (quant !== undefined) checkBlocks(quant, options, slices)
  const declare: Declare = isMicroscaled
    ? (part, matrix) => microscaled(g, target, `${name}.${part}`, matrix)
    : (part, matrix) => floats(g, target, `${name}.${part}`, matrix)
  return { gateUp: declare('gate_up', gateUp), down: declare('down', down), slices, quant }
}

/**
 * Declares the matrices of each expert by itself, for training: whatever format inference keeps them in, in float32 and
 * with the values that it computes with. Throws `GRAPH_UNSUPPORTED` where inference has no kernel.
 */
export function singleExpertWeights(
  g: Graph,
  target: Target,
  name: string,
  options: ExpertsOptions,
): SingleExpertWeights {
  const isMicroscaled = target.stored?.method === 'mxfp4'
  const format = quantOf(target)
  const declare = (part: string, { shape: [, out, inner], parts }: ExpertMatrix): Value => {
    const shape = [out, inner]
    const floats: FloatMatrix = { name: part, shape, source: { kind: 'assembled', parts, quant: float8Of(target) } }
    const source: ParameterSource = isMicroscaled
      ? { kind: 'microscaled', part: 'values', stored: microscaledPart(parts) }
      : format === undefined
        ? floats.source
        : { kind: 'quantized', format, part: 'values', matrix: floats }
    return g.parameter({ name: part, dtype: 'float32', shape, placement: 'external', prepacked: false, source })
  }
  const each = Array.from({ length: options.numExperts }, (_, expert) => partsOfExpert(options, expert))
  const all = expertParts(options, 1)
  const biasOf = (part: string, { shape, bias }: ExpertMatrix) => bias && declareBias(g, target, part, shape, bias)
  return {
    gateUp: each.map(({ gateUp }, expert) => declare(`${name}.gate_up.${expert}`, gateUp)),
    down: each.map(({ down }, expert) => declare(`${name}.down.${expert}`, down)),
    gateUpBias: biasOf(`${name}.gate_up`, all.gateUp),
    downBias: biasOf(`${name}.down`, all.down),
  }
}

/**
 * Throws `GRAPH_UNSUPPORTED` for experts that are stored in a way that is not read: in MXFP4 those that are one tensor
 * are, in float8 those that are not.
 */
export function requireReadable({ stored }: Pick<Target, 'stored'>, { names }: ExpertsOptions): void {
  if (stored === undefined || stored.method === (typeof names === 'function' ? 'fp8' : 'mxfp4')) return
  throw new GraphError(
    'GRAPH_UNSUPPORTED',
    'a mixture of experts of a quantized checkpoint',
    'name the checkpoint that it was quantized from, with --quant',
  )
}

/** Matrices of floats, quantized when they are loaded if the target asks for it. */
function floats(g: Graph, target: Target, name: string, { shape, parts, bias }: ExpertMatrix): ExpertWeight {
  const matrix: FloatMatrix = { name, shape, source: { kind: 'assembled', parts, quant: float8Of(target) } }
  const format = quantOf(target)
  const beside = { bias: bias && declareBias(g, target, name, shape, bias), shape }
  if (format === undefined) {
    const { dtype } = target
    return { matrices: g.parameter({ ...matrix, dtype, placement: 'external', prepacked: false }), ...beside }
  }
  const shapes = quantizedShapes(shape, QUANT_LAYOUTS[format])
  const { codes, scales } = quantizedParameters(g, { format, matrix, shapes, prepacked: false, dtype: target.dtype })
  return { matrices: codes, scales, ...beside }
}

/** Matrices that are stored in MXFP4 and kept in 8 bits, which are exact. */
function microscaled(g: Graph, target: Target, name: string, { shape, parts, bias }: ExpertMatrix): ExpertWeight {
  const stored = microscaledPart(parts)
  const shapes = quantizedShapes(shape, QUANT_LAYOUTS.int8)
  const declare = (kind: 'codes' | 'scales', dtype: 'uint8' | Target['dtype']): Value =>
    g.parameter({
      name: `${name}.${kind}`,
      dtype,
      shape: shapes[kind],
      placement: 'external',
      prepacked: false,
      source: { kind: 'microscaled', part: kind, stored },
    })
  return {
    matrices: declare('codes', 'uint8'),
    scales: declare('scales', target.dtype),
    bias: bias && declareBias(g, target, name, shape, bias),
    shape,
  }
}

/** Stacked matrices are stored in MXFP4 as the transposes of what they are in floats. */
function microscaledPart(parts: readonly MatrixPart[]): MatrixPart {
  const [part] = parts as [MatrixPart]
  const [matrices = 0, inner = 0, out = 0] = part.shape
  return { ...part, shape: [matrices, out, inner], transposed: false }
}

function declareBias(
  g: Graph,
  { dtype }: Target,
  name: string,
  [experts, out]: ExpertMatrix['shape'],
  bias: MatrixPart,
): Value {
  return g.parameter({
    name: `${name}.bias`,
    dtype,
    shape: [experts, out],
    placement: 'external',
    prepacked: false,
    source: { kind: 'assembled', parts: [bias] },
  })
}

function quantizedShapes(
  [experts, out, inner]: ExpertMatrix['shape'],
  { bits, blockSize }: QuantLayout,
): { readonly codes: readonly number[]; readonly scales: readonly number[] } {
  return { codes: [experts, out, (inner * bits) / 8], scales: [experts, out, inner / blockSize] }
}

/** The rule of kernels for quantized experts: rows must be whole blocks. */
function wholeBlocks({ blockSize }: QuantLayout): WidthRule {
  return (width) => width % blockSize === 0
}

function checkBlocks(
  { blockSize }: QuantLayout,
  { intermediateSize, hiddenSize }: ExpertsOptions,
  slices: number,
): void {
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
  // From inputs of a single block the kernel concludes that every row has one scale.
  if (hiddenSize === blockSize && intermediateSize !== slices * blockSize)
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      `quantized experts of hidden size ${hiddenSize} and intermediate size ${intermediateSize}`,
      'their kernel takes no such narrow inputs: say --quant none',
    )
}
