import { int64s } from '../../int64s.ts'
import { add, sub } from '../../ops.ts'
import { transpose } from '../../primitive-ops.ts'
import { int, type Shape, type Value } from '../../value.ts'
import {
  axisOf,
  constantInts,
  gradientOf,
  inputOf,
  intAttribute,
  type NodeGradient,
  type Rules,
  stringAttribute,
  uncovered,
  whole,
} from '../rule.ts'

/** Operators that move elements, or repeat them, without computing. */
export const SHAPES: Rules = {
  '/Reshape': whole(asBefore),
  '/Squeeze': whole(asBefore),
  '/Unsqueeze': whole(asBefore),
  // The walker sums over the axes along which x was repeated.
  '/Expand': whole((at) => [gradientOf(at)]),
  '/Transpose': whole((at) => {
    const perm = at.node.attributes.perm
    const rank = inputOf(at).shape.length
    const order = perm?.type === 'ints' ? perm.value : [...Array(rank).keys()].toReversed()
    const inverse = [...Array(rank).keys()].map((axis) => order.indexOf(axis))
    return [transpose(at.g, gradientOf(at), inverse, 'transposed')]
  }),
  '/Concat': whole((at) => {
    const parts = at.node.inputs.map((part) => part!)
    const axis = axisOf(intAttribute(at.node, 'axis', 0), parts[0]!.shape.length)
    return split(at, axis, parts)
  }),
  '/Split': whole((at) => {
    const { outputs } = at.node
    const axis = axisOf(intAttribute(at.node, 'axis', 0), outputs[0]!.shape.length)
    const parts = outputs.map((part, i) => at.results[i] ?? at.sizes.zeros(part, 'unused'))
    const joined = { dtype: parts[0]!.dtype, shape: inputOf(at).shape }
    return at.g.node({
      op: 'Concat',
      name: 'joined',
      inputs: parts,
      outputs: [joined],
      attributes: { axis: int(axis) },
    })
  }),
  '/Pad': whole((at) => {
    const x = inputOf(at)
    const pads = constantInts(at.g, at.node.inputs[1])
    if (stringAttribute(at.node, 'mode', 'constant') !== 'constant' || pads === undefined || at.node.inputs[3])
      throw uncovered(at, 'has a gradient only for padding with one number, by a constant, along all axes')
    const rank = x.shape.length
    return [slice(at, gradientOf(at), pads.slice(0, rank), pads.slice(rank), x.shape)]
  }),
  '/Slice': whole((at) => [padBack(at)]),
}

function asBefore(at: NodeGradient): (Value | undefined)[] {
  return [at.sizes.reshape(gradientOf(at), inputOf(at).shape, 'as_before')]
}

/** The gradient cut into the parts that were joined along an axis. */
function split(at: NodeGradient, axis: number, parts: readonly Value[]): Value[] {
  const inputs = [gradientOf(at), at.sizes.vector(parts.map(({ shape }) => shape[axis]!))]
  return at.g.node({ op: 'Split', name: 'parts', inputs, outputs: parts, attributes: { axis: int(axis) } })
}

/** x without as many elements at each end of its axes. */
function slice(at: NodeGradient, x: Value, before: readonly number[], after: readonly number[], shape: Shape): Value {
  if ([...before, ...after].some((count) => count < 0)) throw uncovered(at, 'by negative numbers has no gradient')
  const axes = [...before.keys()].filter((axis) => before[axis] !== 0 || after[axis] !== 0)
  if (axes.length === 0) return x
  const operand = (name: string, of: (axis: number) => number) => at.g.constant(name, int64s(axes.map(of)))
  const inputs = [
    x,
    operand('starts', (axis) => before[axis]!),
    operand('ends', (axis) => (after[axis] === 0 ? Number.MAX_SAFE_INTEGER : -after[axis]!)),
    operand('axes', (axis) => axis),
  ]
  return at.g.node({ op: 'Slice', name: 'inner', inputs, outputs: [{ dtype: x.dtype, shape }] })[0]!
}

/** A slice's gradient, with zeros for the elements that were not taken. */
function padBack(at: NodeGradient): Value {
  const [x, starts, , axesInput, steps] = at.node.inputs
  const output = at.node.outputs[0]!
  const axes = axesInput === undefined ? [...Array(starts!.shape[0] as number).keys()] : constantInts(at.g, axesInput)
  const isStepped = steps !== undefined && constantInts(at.g, steps)?.every((step) => step === 1) !== true
  if (axes === undefined || isStepped)
    throw uncovered(at, 'has a gradient only for constant axes, and for elements one after another')
  const rank = x!.shape.length
  const places = axes.map((axis) => axisOf(axis, rank))
  const [whole, taken] = [places.map((axis) => x!.shape[axis]!), places.map((axis) => output.shape[axis]!)]
  const known = constantInts(at.g, starts)
  const before =
    known === undefined || known.some((start) => start < 0)
      ? fromTheFront(at, starts!, at.sizes.vector(whole))
      : at.g.constant('before', int64s(known.map((start, i) => within(start, whole[i]!))))
  const rest = sub(at.g, at.sizes.vector(whole), at.sizes.vector(taken), 'not_taken')
  const after = sub(at.g, rest, before, 'after')
  const inputs = [gradientOf(at), concat(at, [before, after]), undefined, at.g.constant('axes', int64s(places))]
  return at.g.node({ op: 'Pad', name: 'padded', inputs, outputs: [x!] })[0]!
}

function within(start: number, size: number | string): number {
  return typeof size === 'number' ? Math.min(start, size) : start
}

/** Places that are computed at run time; negative ones are counted from the end. */
function fromTheFront(at: NodeGradient, starts: Value, sizes: Value): Value {
  const zero = at.g.constant('zero', int64s([0]))
  const [isNegative] = at.g.node({
    op: 'Less',
    inputs: [starts, zero],
    outputs: [{ dtype: 'bool', shape: starts.shape }],
  })
  const counted = add(at.g, starts, sizes, 'counted_from_end')
  return at.g.node({ op: 'Where', name: 'before', inputs: [isNegative, counted, starts], outputs: [starts] })[0]!
}

function concat(at: NodeGradient, inputs: readonly Value[]): Value {
  const size = inputs.reduce((sum, { shape }) => sum + Number(shape[0]), 0)
  const outputs = [{ dtype: 'int64' as const, shape: [size] }]
  return at.g.node({ op: 'Concat', name: 'pads', inputs, outputs, attributes: { axis: int(0) } })[0]!
}
