import type { PackedQuant } from '../checkpoint/config/stored-quant.ts'
import { computeBlock } from '../checkpoint/weights/unpack.ts'
import type { DType } from '../tensor/dtype.ts'
import type { BlockFormat } from '../tensor/quantize.ts'
import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { matMulRows } from './integer-linear.ts'
import { float8Of, linearFormat, type LinearForm, lowerLinear, quantOf, type Target } from './lowering.ts'
import { matMulTransposed } from './ops.ts'
import { matMul } from './primitive-ops.ts'
import { type AccuracyLevel, matMulNBits, matMulQuantized, quantizedShapes } from './quantized-ops.ts'
import { lastDim } from './shapes.ts'
import { type FloatMatrix, type ParameterSource, transposedPart } from './parameter.ts'
import type { Value } from './value.ts'

/** Whether CPU sessions prepack the weight of each form (see `Parameter.prepacked`). */
const PREPACKED: Record<LinearForm, boolean> = {
  FusedMatMul: true,
  MatMul: true,
  MatMulNBits: true,
  MatMulBnb4: false,
  MatMulIntegerToFloat: true,
}

/**
 * x [..., in] times the transpose of the stored matrix `name`.weight [out, in], in the form that the target takes:
 * [..., out]. Throws `GRAPH_UNSUPPORTED` if the target has none, and `GRAPH_SHAPE` if x's last axis has no fixed size.
 */
export function linear(g: Graph, target: Target, x: Value, name: string, outFeatures: number): Value {
  const inFeatures = lastDim(x.shape)
  if (typeof inFeatures !== 'number')
    throw new GraphError('GRAPH_SHAPE', `node ${g.nodeName(name)}`, `the last axis of ${x.name} must have a fixed size`)
  // MXFP4 is for experts only.
  const stored = target.stored?.method === 'mxfp4' ? undefined : target.stored
  const packed = stored?.method === 'fp8' ? undefined : stored
  const shape: [number, number] = [outFeatures, inFeatures]
  if (packed !== undefined && target.form !== 'training') return storedLinear(g, target, packed, x, name, shape)
  const quant = float8Of(target)
  const matrix: FloatMatrix = {
    name: `${name}.weight`,
    shape,
    source: quant === undefined ? { kind: 'stored' } : { kind: 'widened', quant, module: { name, shape } },
  }
  if (target.form === 'training') return trainingLinear(g, target, x, matrix, packed)
  return matrixProduct(g, target, x, matrix, name)
}

/**
 * x [..., in] times the transpose of a matrix of floats [out, in], which is kept as the target says: [..., out]. Throws
 * `GRAPH_UNSUPPORTED` as `linear`.
 */
export function matrixProduct(g: Graph, target: Target, x: Value, matrix: FloatMatrix, name: string): Value {
  const form = lowerLinear(target),
    format = linearFormat(target)
  const [outFeatures = 0, inFeatures = 0] = matrix.shape
  if (format === undefined) {
    if (form === 'MatMul') return matMul(g, x, transposedWeight(g, x.dtype, matrix), name)
    const weight = g.parameter({ ...matrix, dtype: x.dtype, placement: 'external', prepacked: PREPACKED[form] })
    return matMulTransposed(g, x, weight, name)
  }
  if (format === 'int8-rows') return matMulRows(g, x, { ...rowParameters(g, matrix), outFeatures }, name)
  const shapes = quantizedShapes(format, outFeatures, inFeatures)
  return matMulQuantized(
    g,
    format,
    x,
    {
      ...quantizedParameters(g, { format, matrix, shapes, prepacked: PREPACKED[form], dtype: target.dtype }),
      outFeatures,
    },
    name,
    accuracyOf(target),
  )
}

/** No more is rounded than has to be where exact kernels are as quick. */
function accuracyOf({ device }: Target): AccuracyLevel {
  return device === 'webgpu' ? 0 : 4
}

/** Declares a stored matrix [out, in] as [in, out]. */
function transposedWeight(g: Graph, dtype: DType, { name, shape, source }: FloatMatrix): Value {
  const [out = 0, inner = 0] = shape
  const whole = { name, shape, pieces: [{ row: 0, column: 0, rows: out, firstRow: 0, rowStep: 1 }] }
  const parts = source.kind === 'assembled' ? source.parts : [whole]
  return g.parameter({
    name,
    dtype,
    shape: [inner, out],
    placement: 'external',
    prepacked: PREPACKED.MatMul,
    source: {
      kind: 'assembled',
      parts: parts.map((part) => transposedPart(part, inner)),
      quant: source.kind === 'stored' ? undefined : source.quant,
    },
  })
}

/** The product with the values of a matrix, in float32, whatever format inference keeps it in. */
function trainingLinear(
  g: Graph,
  target: Target,
  x: Value,
  matrix: FloatMatrix,
  packed: PackedQuant | undefined,
): Value {
  const format = linearFormat(target)
  const name = matrix.name.replace(/\.weight$/, '')
  const source: ParameterSource =
    packed !== undefined
      ? { kind: 'unpacked', quant: packed, part: 'values', module: { name, shape: matrix.shape as [number, number] } }
      : format === undefined
        ? matrix.source
        : { kind: 'quantized', format, part: 'values', matrix }
  const parameter = { ...matrix, source, dtype: 'float32', placement: 'external', prepacked: false } as const
  return matMulTransposed(g, x, g.parameter(parameter), name)
}

/**
 * The product for a checkpoint that is quantized already: uses the integers that it stores. Throws `GRAPH_UNSUPPORTED`
 * where these would have to be rounded again.
 */
function storedLinear(
  g: Graph,
  target: Target,
  quant: PackedQuant,
  x: Value,
  module: string,
  matrixShape: readonly [number, number],
): Value {
  const [outFeatures, inFeatures] = matrixShape
  if (quantOf(target) !== undefined) {
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      `--quant ${target.quant}`,
      'this checkpoint is quantized already: leave --quant away',
    )
  }
  const block = computeBlock(quant, inFeatures),
    blocks = inFeatures / block
  if (!Number.isInteger(blocks) || outFeatures % 8 !== 0) {
    throw new GraphError(
      'GRAPH_UNSUPPORTED',
      `layer ${g.nodeName(module)} [${outFeatures}, ${inFeatures}] of a quantized checkpoint`,
      'its sizes are no multiples of the group size',
    )
  }
  const declare = (
    part: 'codes' | 'scales' | 'zeros',
    dtype: 'uint8' | Target['dtype'],
    shape: readonly number[],
  ): Value =>
    g.parameter({
      name: `${module}.weight.${part}`,
      dtype,
      shape,
      placement: 'external',
      prepacked: PREPACKED.MatMulNBits,
      source: { kind: 'unpacked', quant, part, module: { name: module, shape: matrixShape } },
    })
  const weight = {
    codes: declare('codes', 'uint8', [outFeatures, blocks, (block * quant.bits) / 8]),
    scales: declare('scales', target.dtype, [outFeatures * blocks]),
    zeros: quant.zeroPoints
      ? declare('zeros', 'uint8', [outFeatures * Math.ceil((blocks * quant.bits) / 8)])
      : undefined,
    outFeatures,
  }
  return matMulNBits(g, { blockSize: block, bits: quant.bits }, x, weight, module, accuracyOf(target))
}

/** Declares the parameters of a matrix in format `int8-rows`. */
function rowParameters(g: Graph, matrix: FloatMatrix): { readonly codes: Value; readonly scales: Value } {
  const [out = 0, inner = 0] = matrix.shape
  const format = 'int8-rows'
  return {
    codes: g.parameter({
      name: `${matrix.name}.codes`,
      dtype: 'int8',
      shape: [inner, out],
      placement: 'external',
      prepacked: PREPACKED.MatMulIntegerToFloat,
      source: { kind: 'quantized', format, part: 'codes', matrix },
    }),
    scales: g.parameter({
      name: `${matrix.name}.scales`,
      dtype: 'float32',
      shape: [out],
      placement: 'inline',
      prepacked: false,
      source: { kind: 'quantized', format, part: 'scales', matrix },
    }),
  }
}

/** A matrix of floats that is to be quantized when it is loaded. */
export interface QuantizedSpec {
  readonly format: BlockFormat
  readonly matrix: FloatMatrix
  readonly shapes: { readonly codes: readonly number[]; readonly scales: readonly number[] }
  readonly prepacked: boolean
  readonly dtype: Target['dtype']
}

/** Declares the two parameters, codes and scales, that a matrix of floats becomes when it is quantized. */
export function quantizedParameters(
  g: Graph,
  { format, matrix, shapes, prepacked, dtype }: QuantizedSpec,
): { readonly codes: Value; readonly scales: Value } {
  const declare = (part: 'codes' | 'scales', type: 'uint8' | Target['dtype']): Value =>
    g.parameter({
      name: `${matrix.name}.${part}`,
      dtype: type,
      shape: shapes[part],
      placement: 'external',
      prepacked,
      source: { kind: 'quantized', format, part, matrix },
    })
  return { codes: declare('codes', 'uint8'), scales: declare('scales', dtype) }
}
