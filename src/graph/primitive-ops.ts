import type { DType } from '../tensor/dtype.ts'
import { convert } from '../tensor/convert.ts'
import { fromFloat32, tensor } from '../tensor/tensor.ts'
import type { Graph, NodeSpec } from './builder.ts'
import { cast, wantDType, wantShape } from './ops.ts'
import { broadcast } from './shapes.ts'
import { int, ints, type Value, type ValueType } from './value.ts'

/** The axes of x in another order: axis i of the result is axis `order[i]` of x. */
export function transpose(g: Graph, x: Value, order: readonly number[], name: string): Value {
  const shape = order.map((axis) => x.shape[axis] ?? 1)
  return single(g, {
    op: 'Transpose',
    name,
    inputs: [x],
    outputs: [{ dtype: x.dtype, shape }],
    attributes: { perm: ints(order) },
  })
}

/** a [..., m, k] times b [..., k, n] -> [..., m, n]; leading axes are broadcast. */
export function matMul(g: Graph, a: Value, b: Value, name: string): Value {
  wantDType(g, 'MatMul', name, b, a.dtype)
  wantShape(g, 'MatMul', name, b, [...b.shape.slice(0, -2), a.shape.at(-1) ?? 1, b.shape.at(-1) ?? 1])
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)) ?? []
  return single(g, {
    op: 'MatMul',
    name,
    inputs: [a, b],
    outputs: [{ dtype: a.dtype, shape: [...batch, a.shape.at(-2) ?? 1, b.shape.at(-1) ?? 1] }],
  })
}

/** Appends `count` elements of the same number along an axis; a size `tokens` becomes `tokens+1`. */
export function append(g: Graph, x: Value, axis: number, count: number, value: number, name: string): Value {
  const size = x.shape[axis] ?? 1
  const ends = new BigInt64Array(2 * x.shape.length)
  ends[x.shape.length + axis] = BigInt(count)
  const pads = g.constant(`${name}.pads`, tensor('int64', [ends.length], new Uint8Array(ends.buffer)))
  const filler = g.constant(`${name}.value`, convert(fromFloat32(Float32Array.of(value), []), x.dtype))
  const longer = typeof size === 'number' ? size + count : `${size}+${count}`
  return single(g, {
    op: 'Pad',
    name,
    inputs: [x, pads, filler],
    outputs: [{ dtype: x.dtype, shape: x.shape.with(axis, longer) }],
  })
}

export function abs(g: Graph, x: Value, name: string): Value {
  return unary(g, 'Abs', x, name)
}

export function sqrt(g: Graph, x: Value, name: string): Value {
  return unary(g, 'Sqrt', x, name)
}

export function exp(g: Graph, x: Value, name: string): Value {
  return unary(g, 'Exp', x, name)
}

export function log(g: Graph, x: Value, name: string): Value {
  return unary(g, 'Log', x, name)
}

export function sigmoid(g: Graph, x: Value, name: string): Value {
  return unary(g, 'Sigmoid', x, name)
}

/** Each element, but no smaller than -limit and no larger than limit. */
export function clamp(g: Graph, x: Value, limit: number, name: string): Value {
  const bound = (part: string, value: number) =>
    g.constant(`${name}.${part}`, convert(fromFloat32(Float32Array.of(value), []), x.dtype))
  return single(g, { op: 'Clip', name, inputs: [x, bound('least', -limit), bound('most', limit)], outputs: [x] })
}

/** Each element, but no larger than a limit. */
export function clampAbove(g: Graph, x: Value, limit: number, name: string): Value {
  const most = g.constant(`${name}.most`, convert(fromFloat32(Float32Array.of(limit), []), x.dtype))
  return single(g, { op: 'Clip', name, inputs: [x, undefined, most], outputs: [x] })
}

/** a / b, broadcast. */
export function div(g: Graph, a: Value, b: Value, name: string): Value {
  return binary(g, 'Div', a, b, name)
}

/** The larger of a and b, element by element, broadcast. */
export function largest(g: Graph, a: Value, b: Value, name: string): Value {
  return binary(g, 'Max', a, b, name)
}

/** The largest element along an axis; the axis stays, with size 1. */
export function largestOfAxis(g: Graph, x: Value, axis: number, name: string): Value {
  return reduced(g, 'ReduceMax', x, axis, name)
}

/** The sum along an axis; the axis stays, with size 1. */
export function sumOfAxis(g: Graph, x: Value, axis: number, name: string): Value {
  return reduced(g, 'ReduceSum', x, axis, name)
}

/** The mean along the last axis; the axis stays, with size 1. */
export function meanOfLast(g: Graph, x: Value, name: string): Value {
  return reduced(g, 'ReduceMean', x, x.shape.length - 1, name)
}

/** The size of an axis of x, as float32 [1]. */
export function sizeOfAxis(g: Graph, x: Value, axis: number, name: string): Value {
  const size = single(g, {
    op: 'Shape',
    name: `${name}.size`,
    inputs: [x],
    outputs: [{ dtype: 'int64', shape: [1] }],
    attributes: { start: int(axis), end: int(axis + 1) },
  })
  return cast(g, size, 'float32', name)
}

/** softmax along the last axis. */
export function softmax(g: Graph, x: Value, name: string): Value {
  return single(g, { op: 'Softmax', name, inputs: [x], outputs: [x], attributes: { axis: int(-1) } })
}

/** The logarithm of softmax along the last axis. */
export function logSoftmax(g: Graph, x: Value, name: string): Value {
  return single(g, { op: 'LogSoftmax', name, inputs: [x], outputs: [x], attributes: { axis: int(-1) } })
}

/** The `count` largest elements along the last axis, in order, and where they are (int64): [..., count] each. */
export function largestFew(g: Graph, x: Value, count: number, name: string): { values: Value; indices: Value } {
  const shape = [...x.shape.slice(0, -1), count]
  const [values, indices] = g.node({
    op: 'TopK',
    name,
    inputs: [x, filled(g, `${name}.count`, 'int64', [1], count)],
    outputs: [
      { dtype: x.dtype, shape },
      { dtype: 'int64', shape },
    ],
    attributes: { axis: int(-1) },
  })
  return { values: values!, indices: indices! }
}

/** The elements of x at `indices`, int64 of as many axes, along the last axis: a value of the indices' shape. */
export function gatherElements(g: Graph, x: Value, indices: Value, name: string): Value {
  wantDType(g, 'GatherElements', name, indices, 'int64')
  return single(g, {
    op: 'GatherElements',
    name,
    inputs: [x, indices],
    outputs: [{ dtype: x.dtype, shape: indices.shape }],
    attributes: { axis: int(-1) },
  })
}

/** A value of x's shape with the same number everywhere. */
export function filledLike(g: Graph, x: Value, value: number, name: string): Value {
  const shape = single(g, {
    op: 'Shape',
    name: `${name}.shape`,
    inputs: [x],
    outputs: [{ dtype: 'int64', shape: [x.shape.length] }],
  })
  return single(g, { op: 'Expand', name, inputs: [constantLike(g, x, value, `${name}.value`), shape], outputs: [x] })
}

/** A number as a constant [1] of x's dtype. */
export function constantLike(g: Graph, x: Value, value: number, name: string): Value {
  return g.constant(name, convert(fromFloat32(Float32Array.of(value), [1]), x.dtype))
}

/** a <= b as bool, broadcast. */
export function lessOrEqual(g: Graph, a: Value, b: Value, name: string): Value {
  wantDType(g, 'LessOrEqual', name, b, a.dtype)
  return single(g, {
    op: 'LessOrEqual',
    name,
    inputs: [a, b],
    outputs: [{ dtype: 'bool', shape: broadcast(a.shape, b.shape) ?? [] }],
  })
}

/** a < b as bool, broadcast. */
export function less(g: Graph, a: Value, b: Value, name: string): Value {
  wantDType(g, 'Less', name, b, a.dtype)
  return single(g, {
    op: 'Less',
    name,
    inputs: [a, b],
    outputs: [{ dtype: 'bool', shape: broadcast(a.shape, b.shape) ?? [] }],
  })
}

/** a = b as bool, broadcast. */
export function equal(g: Graph, a: Value, b: Value, name: string): Value {
  wantDType(g, 'Equal', name, b, a.dtype)
  return single(g, {
    op: 'Equal',
    name,
    inputs: [a, b],
    outputs: [{ dtype: 'bool', shape: broadcast(a.shape, b.shape) ?? [] }],
  })
}

/** a and b as bool, broadcast. */
export function and(g: Graph, a: Value, b: Value, name: string): Value {
  for (const x of [a, b]) wantDType(g, 'And', name, x, 'bool')
  return single(g, {
    op: 'And',
    name,
    inputs: [a, b],
    outputs: [{ dtype: 'bool', shape: broadcast(a.shape, b.shape) ?? [] }],
  })
}

/** x where the condition is true, else `otherwise`; all broadcast. */
export function where(g: Graph, condition: Value, x: Value, otherwise: Value, name: string): Value {
  wantDType(g, 'Where', name, condition, 'bool')
  wantDType(g, 'Where', name, otherwise, x.dtype)
  const shape = broadcast(broadcast(condition.shape, x.shape) ?? [], otherwise.shape) ?? []
  return single(g, { op: 'Where', name, inputs: [condition, x, otherwise], outputs: [{ dtype: x.dtype, shape }] })
}

/**
 * A copy of data in which `updates` replace the elements at `indices` (same shape as the updates) along `axis`. If
 * result and data are bound to the same memory, data is changed in place.
 */
export function scatterElements(
  g: Graph,
  data: Value,
  indices: Value,
  updates: Value,
  axis: number,
  name: string,
): Value {
  wantDType(g, 'ScatterElements', name, indices, 'int64')
  wantShape(g, 'ScatterElements', name, indices, updates.shape)
  return single(g, {
    op: 'ScatterElements',
    name,
    inputs: [data, indices, updates],
    outputs: [data],
    attributes: { axis: int(axis) },
  })
}

/** int64 [n]: the numbers 0 to n - 1, where n is the size of an axis of x. */
export function indicesOfAxis(g: Graph, x: Value, axis: number, name: string): Value {
  return g.scope(name, () => {
    const scalar: ValueType = { dtype: 'int64', shape: [] }
    const size = single(g, {
      op: 'Shape',
      inputs: [x],
      outputs: [{ dtype: 'int64', shape: [1] }],
      attributes: { start: int(axis), end: int(axis + 1) },
    })
    const limit = single(g, { op: 'Squeeze', inputs: [size], outputs: [scalar] })
    const inputs = [filled(g, 'start', 'int64', [], 0), limit, filled(g, 'step', 'int64', [], 1)]
    return single(g, { op: 'Range', inputs, outputs: [{ dtype: 'int64', shape: [x.shape[axis] ?? 1] }] })
  })
}

/** int32: the numbers 0 to limit - 1, where limit is int32 [1]. `size` names the result's axis. */
export function indicesUpTo(g: Graph, limit: Value, size: string, name: string): Value {
  wantDType(g, 'Range', name, limit, 'int32')
  return g.scope(name, () => {
    const end = single(g, { op: 'Squeeze', inputs: [limit], outputs: [{ dtype: 'int32', shape: [] }] })
    const number = (part: string, value: number) =>
      g.constant(part, tensor('int32', [], new Uint8Array(Int32Array.of(value).buffer)))
    return single(g, {
      op: 'Range',
      inputs: [number('start', 0), end, number('step', 1)],
      outputs: [{ dtype: 'int32', shape: [size] }],
    })
  })
}

/** x with the single element of its axis `axis` repeated as often as `like` has elements along `likeAxis`. */
export function repeatLike(g: Graph, x: Value, axis: number, like: Value, likeAxis: number, name: string): Value {
  const count = single(g, {
    op: 'Shape',
    name: `${name}.count`,
    inputs: [like],
    outputs: [{ dtype: 'int64', shape: [1] }],
    attributes: { start: int(likeAxis), end: int(likeAxis + 1) },
  })
  const ones = (part: string, length: number) =>
    length === 0 ? [] : [filled(g, `${name}.${part}`, 'int64', [length], 1)]
  const sizes = [...ones('before', axis), count, ...ones('after', x.shape.length - axis - 1)]
  const shape = single(g, {
    op: 'Concat',
    name: `${name}.shape`,
    inputs: sizes,
    outputs: [{ dtype: 'int64', shape: [x.shape.length] }],
    attributes: { axis: int(0) },
  })
  return single(g, {
    op: 'Expand',
    name,
    inputs: [x, shape],
    outputs: [{ dtype: x.dtype, shape: x.shape.with(axis, like.shape[likeAxis] ?? 1) }],
  })
}

/** A constant tensor with the same number everywhere. */
export function filled(
  g: Graph,
  name: string,
  dtype: 'float32' | 'int64',
  shape: readonly number[],
  value: number,
): Value {
  const count = shape.reduce((a, b) => a * b, 1)
  const words = dtype === 'int64' ? new BigInt64Array(count).fill(BigInt(value)) : new Float32Array(count).fill(value)
  return g.constant(name, tensor(dtype satisfies DType, shape, new Uint8Array(words.buffer)))
}

function reduced(g: Graph, op: string, x: Value, axis: number, name: string): Value {
  const axes = filled(g, `${name}.axes`, 'int64', [1], axis)
  return single(g, {
    op,
    name,
    inputs: [x, axes],
    outputs: [{ dtype: x.dtype, shape: x.shape.with(axis, 1) }],
    attributes: { keepdims: int(1) },
  })
}

function unary(g: Graph, op: string, x: Value, name: string): Value {
  return single(g, { op, name, inputs: [x], outputs: [x] })
}

function binary(g: Graph, op: string, a: Value, b: Value, name: string): Value {
  wantDType(g, op, name, b, a.dtype)
  return single(g, {
    op,
    name,
    inputs: [a, b],
    outputs: [{ dtype: a.dtype, shape: broadcast(a.shape, b.shape) ?? [] }],
  })
}

function single(g: Graph, spec: NodeSpec): Value {
  return g.node(spec)[0]!
}
