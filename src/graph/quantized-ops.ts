import { type BlockFormat, QUANT_LAYOUTS, type QuantLayout, quantizedSizes } from '../tensor/quantize.ts'
import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { wantDType, wantShape } from './ops.ts'
import { lastDim, withLastDim } from './shapes.ts'
import { int, type Value } from './value.ts'

/** A quantized weight [out, in]: codes uint8 and scales, of the shapes that `quantizedShapes` gives. */
export interface QuantizedWeight {
  readonly codes: Value
  readonly scales: Value
  readonly outFeatures: number
}

/**
 * MatMulNBits' accuracy_level: with 4 kernels may round activations to 8 bits, block by block, with 0 they do not. On a
 * CPU int8 takes thirty times as long without it; WebGPU's kernels round by their own measure, and only large layers.
 */
export type AccuracyLevel = 0 | 4

/** The number of NF4 in onnxruntime's MatMulBnb4, as in bitsandbytes. */
const NF4 = 1

/** The shapes of the codes and the scales of a quantized matrix [out, in]. */
export function quantizedShapes(
  format: BlockFormat,
  out: number,
  inner: number,
): { readonly codes: readonly number[]; readonly scales: readonly number[] } {
  const { blocks, codeBytes } = quantizedSizes(format, out, inner)
  if (!QUANT_LAYOUTS[format].blocksPerRow) return { codes: [codeBytes], scales: [blocks] }
  return { codes: [out, blocks / out, codeBytes / blocks], scales: [blocks] }
}

/** x [..., in] times the transpose of a quantized weight [out, in]: [..., out]. */
export function matMulQuantized(
  g: Graph,
  format: BlockFormat,
  x: Value,
  { codes, scales, outFeatures }: QuantizedWeight,
  name: string,
  accuracy: AccuracyLevel = 4,
): Value {
  const op = format === 'nf4' ? 'MatMulBnb4' : 'MatMulNBits'
  const inFeatures = lastDim(x.shape)
  if (typeof inFeatures !== 'number')
    throw new GraphError(
      'GRAPH_SHAPE',
      `node ${g.nodeName(name)}`,
      `${op} takes an input whose last axis has a fixed size`,
    )
  const shapes = quantizedShapes(format, outFeatures, inFeatures)
  wantDType(g, op, name, codes, 'uint8')
  wantDType(g, op, name, scales, x.dtype)
  wantShape(g, op, name, codes, shapes.codes)
  wantShape(g, op, name, scales, shapes.scales)
  if (format !== 'nf4') return matMulNBits(g, QUANT_LAYOUTS[format], x, { codes, scales, outFeatures }, name, accuracy)
  const [product] = g.node({
    op,
    domain: 'com.microsoft',
    name,
    inputs: [x, codes, scales],
    outputs: [{ dtype: x.dtype, shape: withLastDim(x.shape, outFeatures) }],
    attributes: {
      K: int(inFeatures),
      N: int(outFeatures),
      block_size: int(QUANT_LAYOUTS.nf4.blockSize),
      quant_type: int(NF4),
    },
  })
  return product!
}

/** As `matMulQuantized`, for integers with zero points of their own. */
export function matMulNBits(
  g: Graph,
  { blockSize, bits }: Pick<QuantLayout, 'blockSize' | 'bits'>,
  x: Value,
  { codes, scales, zeros, outFeatures }: QuantizedWeight & { readonly zeros?: Value | undefined },
  name: string,
  accuracy: AccuracyLevel = 4,
): Value {
  wantDType(g, 'MatMulNBits', name, scales, x.dtype)
  const [product] = g.node({
    op: 'MatMulNBits',
    domain: 'com.microsoft',
    name,
    inputs: zeros === undefined ? [x, codes, scales] : [x, codes, scales, zeros],
    outputs: [{ dtype: x.dtype, shape: withLastDim(x.shape, outFeatures) }],
    attributes: {
      K: int(Number(lastDim(x.shape))),
      N: int(outFeatures),
      block_size: int(blockSize),
      bits: int(bits),
      accuracy_level: int(accuracy),
    },
  })
  return product!
}
