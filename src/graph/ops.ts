import type { DType } from '../tensor/dtype.ts'
import { convert } from '../tensor/convert.ts'
import { fromFloat32 } from '../tensor/tensor.ts'
import type { Graph } from './builder.ts'
import { GraphError, type GraphErrorCode } from './errors.ts'
import { int64s } from './int64s.ts'
import { ONNX_DTYPES } from './onnx-dtypes.ts'
import { broadcast, lastDim, reshapeOperand, sameElements, withLastDim } from './shapes.ts'
import { type Attribute, describe, type Domain, float, int, type Shape, string, type Value } from './value.ts'

const FLOATS: ReadonlySet<DType> = new Set<DType>(['float32', 'float16', 'bfloat16'])

/** Whether a value's elements are floats, which may have gradients. */
export function isFloat({ dtype }: Value): boolean {
  return FLOATS.has(dtype)
}

/**
 * a + b, broadcast as in numpy. As for all operators here, operands that do not fit throw `GRAPH_DTYPE` or
 * `GRAPH_SHAPE`.
 */
export function add(g: Graph, a: Value, b: Value, name?: string): Value {
  return binary(g, 'Add', a, b, name)
}

/** a - b, broadcast. */
export function sub(g: Graph, a: Value, b: Value, name?: string): Value {
  return binary(g, 'Sub', a, b, name)
}

/** a * b element by element, broadcast. */
export function mul(g: Graph, a: Value, b: Value, name?: string): Value {
  return binary(g, 'Mul', a, b, name)
}

export function relu(g: Graph, x: Value, name?: string): Value {
  return unary(g, 'Relu', x, name)
}

/** x * sigmoid(alpha * x): SiLU for alpha 1, the sigmoid approximation of GELU for 1.702. */
export function quickGelu(g: Graph, x: Value, alpha: number, name?: string): Value {
  return unary(g, 'QuickGelu', x, name, { alpha: float(alpha) }, 'com.microsoft')
}

export function tanh(g: Graph, x: Value, name?: string): Value {
  return unary(g, 'Tanh', x, name)
}

/** Multiplies each element by a constant. */
export function scale(g: Graph, x: Value, factor: number, name: string): Value {
  return mul(g, x, g.constant(`${name}.factor`, convert(fromFloat32(Float32Array.of(factor), [1]), x.dtype)), name)
}

/** cap * tanh(x / cap). */
export function softcap(g: Graph, x: Value, cap: number, name: string): Value {
  return g.scope(name, () => scale(g, tanh(g, scale(g, x, 1 / cap, 'shrink'), 'tanh'), cap, 'stretch'))
}

/** GELU of each element (Hendrycks and Gimpel, "Gaussian Error Linear Units"), exact or by its tanh approximation. */
export function gelu(g: Graph, x: Value, approximate: 'none' | 'tanh', name?: string): Value {
  return unary(g, 'Gelu', x, name, { approximate: string(approximate) })
}

/** x / sqrt(mean(x^2) + eps) * weight over the last axis; x [..., n], weight [n]. */
export function rmsNorm(g: Graph, x: Value, weight: Value, eps: number, name?: string): Value {
  const op = 'SimplifiedLayerNormalization'
  wantFloat(g, op, name, x)
  wantDType(g, op, name, weight, x.dtype)
  wantShape(g, op, name, weight, [lastDim(x.shape) ?? 1])
  return only(
    g.node({ op, name, inputs: [x, weight], outputs: [x], attributes: { axis: int(-1), epsilon: float(eps) } }),
  )
}

/** (x - mean) / sqrt(variance + eps) * weight + bias over the last axis; x [..., n], weight and bias, if any, [n]. */
export function layerNorm(
  g: Graph,
  x: Value,
  { weight, bias }: { readonly weight: Value; readonly bias?: Value | undefined },
  eps: number,
  name?: string,
): Value {
  const op = 'LayerNormalization'
  wantFloat(g, op, name, x)
  const parameters = bias === undefined ? [weight] : [weight, bias]
  for (const parameter of parameters) {
    wantDType(g, op, name, parameter, x.dtype)
    wantShape(g, op, name, parameter, [lastDim(x.shape) ?? 1])
  }
  return only(
    g.node({ op, name, inputs: [x, ...parameters], outputs: [x], attributes: { axis: int(-1), epsilon: float(eps) } }),
  )
}

/** x [..., in] times the transpose of weight [out, in], the order that checkpoints store: [..., out]. */
export function matMulTransposed(g: Graph, x: Value, weight: Value, name?: string): Value {
  const op = 'FusedMatMul'
  wantFloat(g, op, name, x)
  wantDType(g, op, name, weight, x.dtype)
  const [outFeatures, inFeatures] = weight.shape
  if (
    weight.shape.length !== 2 ||
    outFeatures === undefined ||
    x.shape.length === 0 ||
    inFeatures !== lastDim(x.shape)
  ) {
    throw misfit(
      g,
      op,
      name,
      `cannot multiply ${describe(x)} by a weight [${weight.shape.join(', ')}], which is [out, in]`,
    )
  }
  const shape = withLastDim(x.shape, outFeatures)
  return only(
    g.node({
      op,
      domain: 'com.microsoft',
      name,
      inputs: [x, weight],
      outputs: [{ dtype: x.dtype, shape }],
      attributes: { transB: int(1) },
    }),
  )
}

/** Picks rows of a table: table [n, ...rest], ids of any shape -> [...ids, ...rest]. */
export function gather(g: Graph, table: Value, ids: Value, name?: string): Value {
  wantDType(g, 'Gather', name, ids, 'int64')
  if (table.shape.length === 0) throw misfit(g, 'Gather', name, 'takes a table of at least one axis')
  const shape = [...ids.shape, ...table.shape.slice(1)]
  return only(g.node({ op: 'Gather', name, inputs: [table, ids], outputs: [{ dtype: table.dtype, shape }] }))
}

/** The same elements in another shape. Symbolic sizes of the two shapes are matched by name. */
export function reshape(g: Graph, x: Value, shape: Shape, name?: string): Value {
  const operand = sameElements(x.shape, shape) ? reshapeOperand(x.shape, shape) : undefined
  if (operand === undefined) throw misfit(g, 'Reshape', name, `cannot make [${shape.join(', ')}] of ${describe(x)}`)
  const to = g.constant(`${name ?? 'Reshape'}.shape`, int64s(operand))
  return only(g.node({ op: 'Reshape', name, inputs: [x, to], outputs: [{ dtype: x.dtype, shape }] }))
}

/** Cuts x along the last axis into pieces of these sizes. */
export function splitLast(g: Graph, x: Value, sizes: readonly number[], name?: string): Value[] {
  return splitAxis(g, x, x.shape.length - 1, sizes, name)
}

/** Cuts x along an axis into pieces of these sizes. */
export function splitAxis(g: Graph, x: Value, axis: number, sizes: readonly number[], name?: string): Value[] {
  if (x.shape[axis] !== sizes.reduce((sum, size) => sum + size, 0)) {
    throw misfit(g, 'Split', name, `cannot cut axis ${axis} of ${describe(x)} into ${sizes.join(', ')}`)
  }
  const operand = g.constant(`${name ?? 'Split'}.sizes`, int64s(sizes))
  const outputs = sizes.map((size) => ({ dtype: x.dtype, shape: x.shape.with(axis, size) }))
  return g.node({ op: 'Split', name, inputs: [x, operand], outputs, attributes: { axis: int(axis) } })
}

/** Joins values along the last axis; all their other axes must be equal. */
export function concatLast(g: Graph, values: readonly Value[], name?: string): Value {
  const [first] = values
  if (first === undefined) throw misfit(g, 'Concat', name, 'takes at least one value')
  let size = 0
  for (const value of values) {
    wantDType(g, 'Concat', name, value, first.dtype)
    const last = lastDim(value.shape)
    if (typeof last !== 'number' || withLastDim(value.shape, 0).join() !== withLastDim(first.shape, 0).join()) {
      throw misfit(g, 'Concat', name, `cannot append ${describe(value)} to ${describe(first)}`)
    }
    size += last
  }
  const shape = withLastDim(first.shape, size)
  const outputs = [{ dtype: first.dtype, shape }]
  return only(g.node({ op: 'Concat', name, inputs: values, outputs, attributes: { axis: int(-1) } }))
}

/** Appends zeros to the last axis until it has `size` channels. */
export function padLast(g: Graph, x: Value, size: number, name?: string): Value {
  const last = lastDim(x.shape)
  if (typeof last !== 'number' || size < last)
    throw misfit(g, 'Pad', name, `cannot pad ${describe(x)} to ${size} channels`)
  const before = x.shape.map(() => 0)
  const pads = g.constant(`${name ?? 'Pad'}.pads`, int64s([...before, ...before.slice(1), size - last]))
  return only(
    g.node({ op: 'Pad', name, inputs: [x, pads], outputs: [{ dtype: x.dtype, shape: withLastDim(x.shape, size) }] }),
  )
}

/** The first `size` channels of the last axis. */
export function takeLast(g: Graph, x: Value, size: number, name?: string): Value {
  const last = lastDim(x.shape)
  if (typeof last !== 'number' || size > last)
    throw misfit(g, 'Slice', name, `cannot take ${size} channels of ${describe(x)}`)
  const operand = (part: string, value: number) => g.constant(`${name ?? 'Slice'}.${part}`, int64s([value]))
  const inputs = [x, operand('start', 0), operand('end', size), operand('axis', x.shape.length - 1)]
  return only(g.node({ op: 'Slice', name, inputs, outputs: [{ dtype: x.dtype, shape: withLastDim(x.shape, size) }] }))
}

/** x converted to a dtype; x itself if it has that dtype. */
export function cast(g: Graph, x: Value, dtype: DType, name?: string): Value {
  if (x.dtype === dtype) return x
  const attributes = { to: int(ONNX_DTYPES[dtype]) }
  return only(g.node({ op: 'Cast', name, inputs: [x], outputs: [{ dtype, shape: x.shape }], attributes }))
}

function binary(g: Graph, op: string, a: Value, b: Value, name?: string): Value {
  wantDType(g, op, name, b, a.dtype)
  const shape = broadcast(a.shape, b.shape)
  if (shape === undefined)
    throw misfit(g, op, name, `cannot broadcast [${a.shape.join(', ')}] and [${b.shape.join(', ')}]`)
  return only(g.node({ op, name, inputs: [a, b], outputs: [{ dtype: a.dtype, shape }] }))
}

function unary(
  g: Graph,
  op: string,
  x: Value,
  name?: string,
  attributes: Record<string, Attribute> = {},
  domain: Domain = '',
): Value {
  wantFloat(g, op, name, x)
  return only(g.node({ op, domain, name, inputs: [x], outputs: [x], attributes }))
}

function only([value]: readonly Value[]): Value {
  return value!
}

function wantFloat(g: Graph, op: string, name: string | undefined, x: Value): void {
  if (!isFloat(x)) throw misfit(g, op, name, `takes floats, not ${x.name} of ${describe(x)}`, 'GRAPH_DTYPE')
}

/** Checks an operand's dtype. Throws `GRAPH_DTYPE`, naming the node, its operator and the operand. */
export function wantDType(g: Graph, op: string, name: string | undefined, x: Value, dtype: DType): void {
  if (x.dtype !== dtype)
    throw misfit(g, op, name, `takes ${dtype} here, not ${x.name} of ${describe(x)}`, 'GRAPH_DTYPE')
}

/** Checks an operand's shape. Throws `GRAPH_SHAPE`, naming the node, its operator and the operand. */
export function wantShape(g: Graph, op: string, name: string | undefined, x: Value, shape: Shape): void {
  if (x.shape.join() !== shape.join()) {
    throw misfit(g, op, name, `takes ${x.name} of shape [${shape.join(', ')}], not [${x.shape.join(', ')}]`)
  }
}

function misfit(
  g: Graph,
  op: string,
  name: string | undefined,
  problem: string,
  code: GraphErrorCode = 'GRAPH_SHAPE',
): GraphError {
  return new GraphError(code, `node ${g.nodeName(name ?? op)}`, `${op} ${problem}`)
}
