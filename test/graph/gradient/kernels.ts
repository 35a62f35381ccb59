import type { Node } from '../../../src/graph/value.ts'
import { type Doubles, doubles, indexAt, placesOf, sizeOf } from './doubles.ts'

type Kernel = (inputs: readonly (Doubles | undefined)[], node: Node) => Doubles[]

function unary(of: (x: number, node: Node) => number): Kernel {
  return ([x], node) => [{ shape: x!.shape, data: x!.data.map((value) => of(value, node)) }]
}

function broadcastShapes(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map(({ length }) => length))
  return Array.from({ length: rank }, (_, axis) => {
    const dims = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1).filter((dim) => dim !== 1)
    if (new Set(dims).size > 1) throw new Error(`cannot broadcast ${JSON.stringify(shapes)}`)
    return dims[0] ?? 1
  })
}

function each(of: (...operands: number[]) => number): Kernel {
  return (inputs) => {
    const shape = broadcastShapes(inputs.map((input) => input!.shape))
    return [
      doubles(shape, (i) => {
        const places = placesOf(i, shape)
        return of(...inputs.map((input) => input!.data[indexAt(places, input!.shape)]!))
      }),
    ]
  }
}

function intOf({ attributes }: Node, name: string, otherwise: number): number {
  const attribute = attributes[name]
  return attribute?.type === 'int' ? attribute.value : otherwise
}

function floatOf({ attributes }: Node, name: string, otherwise: number): number {
  const attribute = attributes[name]
  return attribute?.type === 'float' ? attribute.value : otherwise
}

function textOf({ attributes }: Node, name: string, otherwise: string): string {
  const attribute = attributes[name]
  return attribute?.type === 'string' ? attribute.value : otherwise
}

function fromFront(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis
}

/** The heads of x [rows, tokens, channels], of positions 0, 1, ... */
const rotate: Kernel = ([x, first, cos, sin], node) => {
  const [, tokens = 1, channels = 1] = x!.shape
  const [half, headDim] = [intOf(node, 'rotary_embedding_dim', 0) / 2, channels / intOf(node, 'num_heads', 1)]
  const isInterleaved = intOf(node, 'interleaved', 0) === 1
  return [
    doubles(x!.shape, (i) => {
      const channel = i % headDim
      if (channel >= 2 * half) return x!.data[i]!
      const [pair, isSecond] = isInterleaved ? [channel >> 1, channel % 2 === 1] : [channel % half, channel >= half]
      const other = x!.data[i + (isSecond ? -1 : 1) * (isInterleaved ? 1 : half)]!
      const angle = (first!.data[0]! + (Math.floor(i / channels) % tokens)) * half + pair
      return x!.data[i]! * cos!.data[angle]! + (isSecond ? 1 : -1) * other * sin!.data[angle]!
    }),
  ]
}

function reduction(of: (values: readonly number[]) => number): Kernel {
  return ([x, axesInput], node) => {
    const rank = x!.shape.length
    const axes =
      axesInput === undefined ? [...x!.shape.keys()] : [...axesInput.data].map((axis) => fromFront(axis, rank))
    const kept = x!.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    const groups = Array.from({ length: sizeOf(kept) }, (): number[] => [])
    x!.data.forEach((value, i) => groups[indexAt(placesOf(i, x!.shape), kept)]!.push(value))
    const shape = intOf(node, 'keepdims', 1) === 1 ? kept : kept.filter((_, axis) => !axes.includes(axis))
    return [doubles(shape, (i) => of(groups[i]!))]
  }
}

/** Of each row of the last axis. */
function rows(of: (row: Float64Array, node: Node) => ArrayLike<number>): Kernel {
  return ([x], node) => {
    const last = x!.shape.at(-1)!
    const data = new Float64Array(x!.data.length)
    for (let i = 0; i < data.length; i += last) data.set(of(x!.data.subarray(i, i + last), node), i)
    return [{ shape: x!.shape, data }]
  }
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)

/** The error function by a series of terms of one sign, so that nothing cancels. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x)
  let term = x
  let total = x
  for (let n = 1; n < 200; n++) {
    term *= (2 * x * x) / (2 * n + 1)
    total += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * total
}

function matMul([a, b]: readonly (Doubles | undefined)[], node: Node): Doubles[] {
  const [transA, transB] = [intOf(node, 'transA', 0) === 1, intOf(node, 'transB', 0) === 1]
  const alpha = floatOf(node, 'alpha', 1)
  const [ar, ac] = a!.shape.slice(-2) as [number, number]
  const [br, bc] = b!.shape.slice(-2) as [number, number]
  const [m, k] = transA ? [ac, ar] : [ar, ac]
  const [k2, n] = transB ? [bc, br] : [br, bc]
  if (k !== k2) throw new Error(`inner sizes ${k} and ${k2}`)
  const batch = broadcastShapes([a!.shape.slice(0, -2), b!.shape.slice(0, -2)])
  const shape = [...batch, m, n]
  return [
    doubles(shape, (i) => {
      const places = placesOf(i, shape)
      const [row, column] = places.slice(-2) as [number, number]
      const outer = places.slice(0, -2)
      const startA = indexAt(outer, a!.shape.slice(0, -2)) * ar * ac
      const startB = indexAt(outer, b!.shape.slice(0, -2)) * br * bc
      let total = 0
      for (let j = 0; j < k; j++) {
        const left = a!.data[startA + (transA ? j * ac + row : row * ac + j)]!
        total += left * b!.data[startB + (transB ? column * bc + j : j * bc + column)]!
      }
      return alpha * total
    }),
  ]
}

function norm(isShifted: boolean): Kernel {
  return ([x, weight, bias], node) => {
    const size = x!.shape.at(-1)!
    const each = [...x!.shape.slice(0, -1), 1]
    const means = doubles(each, (i) => (isShifted ? sum([...x!.data.subarray(i * size, (i + 1) * size)]) / size : 0))
    const factors = doubles(each, (i) => {
      const row = [...x!.data.subarray(i * size, (i + 1) * size)].map((value) => (value - means.data[i]!) ** 2)
      return 1 / Math.sqrt(sum(row) / size + floatOf(node, 'epsilon', 1e-5))
    })
    const y = doubles(x!.shape, (i) => {
      const [row, column] = [Math.floor(i / size), i % size]
      const standard = (x!.data[i]! - means.data[row]!) * factors.data[row]!
      return standard * weight!.data[column]! + (bias?.data[column] ?? 0)
    })
    return isShifted ? [y, means, factors] : [y, factors]
  }
}

function reshape(x: Doubles, shape: readonly number[]): Doubles[] {
  if (sizeOf(shape) !== x.data.length) throw new Error(`cannot make [${shape.join()}] of [${x.shape.join()}]`)
  return [{ shape, data: x.data }]
}

function concat(parts: readonly Doubles[], axis: number): Doubles {
  const shape = parts[0]!.shape.with(axis, sum(parts.map((part) => part.shape[axis]!)))
  return doubles(shape, (i) => {
    const places = placesOf(i, shape)
    for (const part of parts) {
      if (places[axis]! < part.shape[axis]!) return part.data[indexAt(places, part.shape)]!
      places[axis]! -= part.shape[axis]!
    }
    throw new Error('no part has this element')
  })
}

/** Elements of x, each at places that are computed from its own. */
function moved(
  x: Doubles,
  shape: readonly number[],
  from: (places: number[]) => number[] | undefined,
  filler = 0,
): Doubles {
  return doubles(shape, (i) => {
    const places = from(placesOf(i, shape))
    return places === undefined ? filler : x.data[indexAt(places, x.shape)]!
  })
}

/** `updates` put at, or added to, places of a copy of x. */
function scattered(x: Doubles, updates: Doubles, node: Node, to: (i: number) => number): Doubles[] {
  const data = x.data.slice()
  const isAdded = textOf(node, 'reduction', 'none') === 'add'
  updates.data.forEach((value, i) => (data[to(i)] = isAdded ? data[to(i)]! + value : value))
  return [{ shape: x.shape, data }]
}

/** The place of a row of x that the i-th row of indices [..., depth] names, and how many elements such a row has. */
function rowsAt(x: Doubles, indices: Doubles): { readonly width: number; start: (row: number) => number } {
  const depth = indices.shape.at(-1)!
  const outer = x.shape.slice(0, depth)
  const width = sizeOf(x.shape.slice(depth))
  const start = (row: number): number =>
    width * outer.reduce((at, dim, axis) => at * dim + fromFront(indices.data[row * depth + axis]!, dim), 0)
  return { width, start }
}

export const KERNELS: Readonly<Record<string, Kernel>> = {
  '/Add': each((a, b) => a! + b!),
  '/Sub': each((a, b) => a! - b!),
  '/Mul': each((a, b) => a! * b!),
  '/Div': (inputs, node) =>
    each((a, b) => (node.outputs[0]!.dtype === 'int64' ? Math.trunc(a! / b!) : a! / b!))(inputs, node),
  '/Mod': each((a, b) => ((a! % b!) + b!) % b!),
  '/Pow': each((a, b) => a! ** b!),
  '/Max': each((a, b) => Math.max(a!, b!)),
  '/Min': each((a, b) => Math.min(a!, b!)),
  '/Less': each((a, b) => Number(a! < b!)),
  '/LessOrEqual': each((a, b) => Number(a! <= b!)),
  '/Equal': each((a, b) => Number(a === b)),
  '/And': each((a, b) => a! * b!),
  '/Where': each((condition, a, b) => (condition === 1 ? a! : b!)),
  '/Neg': unary((x) => -x),
  '/Sign': unary(Math.sign),
  '/Abs': unary(Math.abs),
  '/Exp': unary(Math.exp),
  '/Log': unary(Math.log),
  '/Sqrt': unary(Math.sqrt),
  '/Reciprocal': unary((x) => 1 / x),
  '/Erf': unary(erf),
  '/Tanh': unary(Math.tanh),
  '/Sigmoid': unary((x) => 1 / (1 + Math.exp(-x))),
  '/Relu': unary((x) => Math.max(x, 0)),
  '/Cast': unary((x) => x),
  '/Identity': unary((x) => x),
  'com.microsoft/QuickGelu': unary((x, node) => x / (1 + Math.exp(-floatOf(node, 'alpha', 1.702) * x))),
  '/Gelu': unary((x, node) =>
    textOf(node, 'approximate', 'none') === 'tanh'
      ? 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
      : 0.5 * x * (1 + erf(x / Math.SQRT2)),
  ),
  '/Clip': ([x, least, most]) => [
    doubles(x!.shape, (i) => Math.min(Math.max(x!.data[i]!, least?.data[0] ?? -Infinity), most?.data[0] ?? Infinity)),
  ],
  '/MatMul': matMul,
  'com.microsoft/FusedMatMul': matMul,
  'com.microsoft/RotaryEmbedding': rotate,
  '/SimplifiedLayerNormalization': norm(false),
  '/LayerNormalization': norm(true),
  '/ReduceSum': reduction(sum),
  '/ReduceMean': reduction((values) => sum(values) / values.length),
  '/ReduceMax': reduction((values) => Math.max(...values)),
  '/ReduceProd': reduction((values) => values.reduce((a, b) => a * b, 1)),
  '/Softmax': rows((row) => {
    const parts = row.map((value) => Math.exp(value - Math.max(...row)))
    return parts.map((part) => part / sum([...parts]))
  }),
  '/LogSoftmax': rows((row) => {
    const peak = Math.max(...row)
    const total = Math.log(sum([...row].map((value) => Math.exp(value - peak))))
    return row.map((value) => value - peak - total)
  }),
  '/Shape': ([x], node) => {
    const dims = x!.shape.slice(intOf(node, 'start', 0), intOf(node, 'end', x!.shape.length))
    return [doubles([dims.length], (i) => dims[i]!)]
  },
  '/Reshape': ([x, to], node) => {
    const copies = intOf(node, 'allowzero', 0) === 0
    const wanted = [...to!.data].map((dim, axis) => (dim === 0 && copies ? x!.shape[axis]! : dim))
    const known = sizeOf(wanted.filter((dim) => dim !== -1))
    return reshape(
      x!,
      wanted.map((dim) => (dim === -1 ? x!.data.length / known : dim)),
    )
  },
  '/Squeeze': ([x, axes], node) => {
    const rank = x!.shape.length
    const gone = axes === undefined ? undefined : [...axes.data].map((axis) => fromFront(axis, rank))
    return reshape(
      x!,
      x!.shape.filter((dim, axis) => (gone === undefined ? dim !== 1 : !gone.includes(axis))),
    ).slice(0, node.outputs.length)
  },
  '/Unsqueeze': ([x, axes], node) => {
    const shape = [...x!.shape]
    const rank = node.outputs[0]!.shape.length
    for (const axis of [...axes!.data].map((one) => fromFront(one, rank)).sort((a, b) => a - b))
      shape.splice(axis, 0, 1)
    return reshape(x!, shape)
  },
  '/Expand': ([x, to]) => {
    const shape = broadcastShapes([x!.shape, [...to!.data]])
    return [moved(x!, shape, (places) => places)]
  },
  '/Transpose': ([x], node) => {
    const perm = node.attributes.perm
    const order = perm?.type === 'ints' ? perm.value : [...x!.shape.keys()].toReversed()
    const shape = order.map((axis) => x!.shape[axis]!)
    return [moved(x!, shape, (places) => [...x!.shape.keys()].map((axis) => places[order.indexOf(axis)]!))]
  },
  '/Concat': (parts, node) => {
    const all = parts.map((part) => part!)
    return [concat(all, fromFront(intOf(node, 'axis', 0), all[0]!.shape.length))]
  },
  '/Split': ([x, sizes], node) => {
    const axis = fromFront(intOf(node, 'axis', 0), x!.shape.length)
    let start = 0
    return [...sizes!.data].map((size) => {
      const from = start
      start += size
      return moved(x!, x!.shape.with(axis, size), (places) => places.with(axis, places[axis]! + from))
    })
  },
  '/Pad': ([x, pads, filler, axesInput]) => {
    const axes = axesInput === undefined ? [...x!.shape.keys()] : [...axesInput.data]
    const padOf = (axis: number, end: number) =>
      axes.includes(axis) ? pads!.data[axes.indexOf(axis) + end * axes.length]! : 0
    const before = x!.shape.map((_, axis) => padOf(axis, 0))
    const after = x!.shape.map((_, axis) => padOf(axis, 1))
    const shape = x!.shape.map((dim, axis) => dim + before[axis]! + after[axis]!)
    return [
      moved(
        x!,
        shape,
        (places) => {
          const from = places.map((place, axis) => place - before[axis]!)
          return from.some((place, axis) => place < 0 || place >= x!.shape[axis]!) ? undefined : from
        },
        filler?.data[0],
      ),
    ]
  },
  '/Slice': ([x, starts, ends, axesInput]) => {
    const axes = axesInput === undefined ? [...starts!.data.keys()] : [...axesInput.data]
    const range = x!.shape.map((dim, axis) => {
      const i = axes.findIndex((one) => fromFront(one, x!.shape.length) === axis)
      if (i === -1) return [0, dim] as const
      const clamp = (place: number) => Math.min(Math.max(place < 0 ? place + dim : place, 0), dim)
      return [clamp(starts!.data[i]!), clamp(ends!.data[i]!)] as const
    })
    const shape = range.map(([start, end]) => Math.max(end - start, 0))
    return [moved(x!, shape, (places) => places.map((place, axis) => place + range[axis]![0]))]
  },
  '/Gather': ([table, ids]) => {
    const row = table!.shape.slice(1)
    const width = sizeOf(row)
    const place = (i: number) => fromFront(ids!.data[Math.floor(i / width)]!, table!.shape[0]!) * width + (i % width)
    return [doubles([...ids!.shape, ...row], (i) => table!.data[place(i)]!)]
  },
  '/GatherElements': ([x, indices], node) => {
    const axis = fromFront(intOf(node, 'axis', 0), x!.shape.length)
    return [
      doubles(indices!.shape, (i) => {
        const places = placesOf(i, indices!.shape).with(axis, fromFront(indices!.data[i]!, x!.shape[axis]!))
        return x!.data[indexAt(places, x!.shape)]!
      }),
    ]
  },
  '/ScatterElements': ([x, indices, updates], node) => {
    const axis = fromFront(intOf(node, 'axis', 0), x!.shape.length)
    return scattered(x!, updates!, node, (i) => {
      const places = placesOf(i, indices!.shape).with(axis, fromFront(indices!.data[i]!, x!.shape[axis]!))
      return indexAt(places, x!.shape)
    })
  },
  '/GatherND': ([x, indices]) => {
    const { width, start } = rowsAt(x!, indices!)
    const shape = [...indices!.shape.slice(0, -1), ...x!.shape.slice(indices!.shape.at(-1))]
    return [doubles(shape, (i) => x!.data[start(Math.floor(i / width)) + (i % width)]!)]
  },
  '/ScatterND': ([x, indices, updates], node) => {
    const { width, start } = rowsAt(x!, indices!)
    return scattered(x!, updates!, node, (i) => start(Math.floor(i / width)) + (i % width))
  },
  '/TopK': ([x, count], node) => {
    const axis = fromFront(intOf(node, 'axis', -1), x!.shape.length)
    const order = intOf(node, 'largest', 1) === 1 ? -1 : 1
    const shape = x!.shape.with(axis, count!.data[0]!)
    const size = x!.shape[axis]!
    // The place along the axis of each element of the result.
    const places = doubles(shape, (i) => {
      const at = placesOf(i, shape)
      const of = (place: number) => x!.data[indexAt(at.with(axis, place), x!.shape)]!
      return [...Array(size).keys()].sort((a, b) => order * (of(a) - of(b)) || a - b)[at[axis]!]!
    })
    return [doubles(shape, (i) => x!.data[indexAt(placesOf(i, shape).with(axis, places.data[i]!), x!.shape)]!), places]
  },
  '/Range': ([start, limit, step]) => [
    doubles(
      [Math.ceil((limit!.data[0]! - start!.data[0]!) / step!.data[0]!)],
      (i) => start!.data[0]! + i * step!.data[0]!,
    ),
  ],
}
