import { rotationMatrix, rotationSize } from '../tensor/rotation.ts'
import { fromFloat32, tensor } from '../tensor/tensor.ts'
import type { Graph } from './builder.ts'
import { GraphError } from './errors.ts'
import { mul, reshape, scale, wantDType, wantShape } from './ops.ts'
import { abs, div, filled, largest, largestOfAxis, matMul } from './primitive-ops.ts'
import type { QuantizedWeight } from './quantized-ops.ts'
import { lastDim, withLastDim } from './shapes.ts'
import type { Value } from './value.ts'

/** Activations are rounded to -127 to 127 steps and stored as unsigned bytes, in which `ZERO` stands for 0. */
const LEVELS = 127
const ZERO = 128

/** The step of a row of zeros: a step of 0 would divide by zero. */
const LEAST_STEP = 1e-30

/** Rounded activations [..., in] as bytes, and the size of each row's step [..., 1]. */
interface RoundedRows {
  readonly bytes: Value
  readonly step: Value
}

/**
 * The rounded form of each value, so that an input of several matrices (e.g. of query, key and value) is rounded once.
 */
const rounded = new WeakMap<Value, RoundedRows>()

/**
 * x [..., in] times the transpose of a weight [out, in] in format `int8-rows`: [..., out]. Each row of x is rotated
 * like the weight's rows, divided by a step of its own (its largest magnitude / 127), rounded and multiplied in
 * integers. A row's result therefore does not depend on other rows of the run, to the bit.
 */
export function matMulRows(g: Graph, x: Value, { codes, scales, outFeatures }: QuantizedWeight, name: string): Value {
  const op = 'MatMulIntegerToFloat'
  const inFeatures = lastDim(x.shape)
  if (typeof inFeatures !== 'number')
    throw new GraphError(
      'GRAPH_SHAPE',
      `node ${g.nodeName(name)}`,
      `${op} takes an input whose last axis has a fixed size`,
    )
  wantDType(g, op, name, codes, 'int8')
  wantDType(g, op, name, scales, x.dtype)
  wantShape(g, op, name, codes, [inFeatures, outFeatures])
  wantShape(g, op, name, scales, [outFeatures])
  return g.scope(name, () => {
    const { bytes, step } = roundRows(g, x)
    const [product] = g.node({
      op,
      domain: 'com.microsoft',
      name: 'product',
      inputs: [bytes, codes, filled(g, 'one', 'float32', [], 1), scales, zeroPoint(g)],
      outputs: [{ dtype: x.dtype, shape: withLastDim(x.shape, outFeatures) }],
    })
    return mul(g, product!, step, 'scaled')
  })
}

/** Rotates and rounds activations. */
function roundRows(g: Graph, x: Value): RoundedRows {
  const found = rounded.get(x)
  if (found !== undefined) return found
  const turned = rotated(g, x)
  const peak = largestOfAxis(g, abs(g, turned, 'magnitude'), x.shape.length - 1, 'peak')
  const least = filled(g, 'least', 'float32', [1], LEAST_STEP)
  const step = largest(g, scale(g, peak, 1 / LEVELS, 'share_of_peak'), least, 'step')
  const [bytes] = g.node({
    op: 'QuantizeLinear',
    name: 'bytes',
    inputs: [div(g, turned, step, 'steps'), filled(g, 'unit', 'float32', [], 1), zeroPoint(g)],
    outputs: [{ dtype: 'uint8', shape: x.shape }],
  })
  const made = { bytes: bytes!, step }
  rounded.set(x, made)
  return made
}

/** x with each group of channels rotated as `tensor/rotation.ts` says. */
function rotated(g: Graph, x: Value): Value {
  const columns = Number(lastDim(x.shape)),
    size = rotationSize(columns)
  if (size === 1) return x
  const matrix = g.constant('rotation', fromFloat32(rotationMatrix(size), [size, size]))
  const parts = reshape(g, x, [...x.shape.slice(0, -1), columns / size, size], 'parts')
  return reshape(g, matMul(g, parts, matrix, 'rotated_parts'), x.shape, 'rotated')
}

function zeroPoint(g: Graph): Value {
  return g.constant('zero', tensor('uint8', [], Uint8Array.of(ZERO)))
}
