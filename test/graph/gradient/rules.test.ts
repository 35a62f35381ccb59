import { describe, it } from 'node:test'
import { erf, neg } from '../../../src/graph/elementwise-ops.ts'
import { int64s } from '../../../src/graph/int64s.ts'
import { fusedMatMul } from '../../../src/graph/matrix-ops.ts'
import {
  add,
  cast,
  concatLast,
  gather,
  gelu,
  layerNorm,
  matMulTransposed,
  mul,
  padLast,
  quickGelu,
  relu,
  reshape,
  rmsNorm,
  splitLast,
  sub,
  takeLast,
  tanh,
} from '../../../src/graph/ops.ts'
import {
  abs,
  clamp,
  div,
  exp,
  gatherElements,
  largest,
  largestFew,
  largestOfAxis,
  log,
  matMul,
  meanOfLast,
  repeatLike,
  scatterElements,
  sigmoid,
  softmax,
  sqrt,
  sumOfAxis,
  transpose,
  where,
} from '../../../src/graph/primitive-ops.ts'
import { rotaryEmbedding } from '../../../src/graph/rotary-op.ts'
import { reduceAxes } from '../../../src/graph/reduce-ops.ts'
import { concatRows, cutRows, pick } from '../../../src/graph/row-ops.ts'
import { scatterAdd } from '../../../src/graph/scatter-ops.ts'
import { int, type Shape, string, type Value } from '../../../src/graph/value.ts'
import { type Case, checkGradients, type Inputs } from './check.ts'

const node = (inputs: Inputs, op: string, operands: readonly Value[], shape: Shape = operands[0]!.shape): Value =>
  inputs.graph.node({ op, inputs: operands, outputs: [{ dtype: 'float32', shape }] })[0]!

/** Whole numbers that are a constant of the graph. */
const axes = ({ graph }: Inputs, values: readonly number[]): Value => graph.constant('axes', int64s(values))

function merged({ graph }: Inputs, x: Value): Value {
  const inputs = [x, graph.constant('shape', int64s([-1, 4]))]
  return graph.node({ op: 'Reshape', inputs, outputs: [{ dtype: x.dtype, shape: ['rows*tokens', 4] }] })[0]!
}

function concatFirst({ graph }: Inputs, inputs: readonly Value[]): Value {
  const outputs = [{ dtype: 'float32' as const, shape: ['all', 4] }]
  return graph.node({ op: 'Concat', inputs, outputs, attributes: { axis: int(0) } })[0]!
}

function slice(t: Inputs, x: Value, starts: number[], ends: number[], along: number[]): Value {
  const shape = x.shape.map((dim, axis) => (along.some((one) => (one + 3) % 3 === axis) ? `part${axis}` : dim))
  return node(t, 'Slice', [x, axes(t, starts), axes(t, ends), axes(t, along)], shape)
}

function scatterND({ graph }: Inputs, inputs: readonly [Value, Value, Value], reduction: string): Value {
  const attributes = { reduction: string(reduction) }
  return graph.node({ op: 'ScatterND', inputs, outputs: [inputs[0]], attributes })[0]!
}

function rotated(
  t: Inputs,
  { headDim, rotaryDim, interleaved }: { headDim: number; rotaryDim: number; interleaved: boolean },
): ReturnType<Case['build']> {
  const [x, cos, sin] = [t.float(['rows', 'tokens', 2 * headDim]), ...tables(t, rotaryDim)]
  return { of: rotaryEmbedding(t.graph, x, { cos, sin }, { numHeads: 2, interleaved }, 'rotate'), wrt: [x] }
}

/** Of any numbers: the gradient is that of a linear map, whether or not it is a rotation. */
function tables(t: Inputs, rotaryDim: number): [Value, Value] {
  return [t.float(['tokens', rotaryDim / 2]), t.float(['tokens', rotaryDim / 2])]
}

type Row = readonly [what: string, build: (inputs: Inputs) => ReturnType<Case['build']>]
const SIZES = { rows: 2, tokens: 3, one: 1 }

const rows: readonly Row[] = [
  ['Add', (t) => add(t.graph, t.float(['rows', 'tokens', 4]), t.float(['tokens', 1]))],
  [
    'Add of one value twice',
    (t) => {
      const x = t.float(['rows', 4])
      return add(t.graph, x, x)
    },
  ],
  ['Add to a scalar', (t) => add(t.graph, t.float([]), t.float(['rows', 4]))],
  ['Add of symbolic axes of size 1', (t) => add(t.graph, t.float(['one', 4]), t.float(['one', 1]))],
  ['Sub', (t) => sub(t.graph, t.float([1, 'tokens', 4]), t.float(['rows', 1, 4]))],
  ['Mul', (t) => mul(t.graph, t.float(['rows', 1, 4]), t.float(['tokens', 1]))],
  [
    'Mul of one value twice',
    (t) => {
      const x = t.float(['rows', 4])
      return mul(t.graph, x, x)
    },
  ],
  ['Div', (t) => div(t.graph, t.float(['rows', 'tokens', 4]), t.float(['tokens', 1], [0.5, 2]), 'div')],
  ['Neg', (t) => neg(t.graph, t.float(['rows', 4]), 'neg')],
  ['Max', (t) => largest(t.graph, t.float(['rows', 'tokens']), t.float(['tokens']), 'max')],
  ['Min', (t) => node(t, 'Min', [t.float(['rows', 'tokens']), t.float(['tokens'])])],
  [
    'Where',
    (t) => where(t.graph, t.bools(['tokens', 1], [true, false, true]), t.float(['rows', 1, 4]), t.float([4]), 'where'),
  ],
  [
    'Pow',
    (t) => {
      const x = t.float(['rows', 4], [0.5, 2])
      return { of: node(t, 'Pow', [x, t.float([1], [2, 3])]), wrt: [x] }
    },
  ],
  ['Abs', (t) => abs(t.graph, t.float(['rows', 4]), 'abs')],
  ['Exp', (t) => exp(t.graph, t.float(['rows', 4]), 'exp')],
  ['Log', (t) => log(t.graph, t.float(['rows', 4], [0.5, 2]), 'log')],
  ['Sqrt', (t) => sqrt(t.graph, t.float(['rows', 4], [0.5, 2]), 'sqrt')],
  ['Reciprocal', (t) => node(t, 'Reciprocal', [t.float(['rows', 4], [0.5, 2])])],
  ['Erf', (t) => erf(t.graph, t.float(['rows', 8], [-3, 3]), 'erf')],
  ['Clip', (t) => clamp(t.graph, t.float(['rows', 8], [-2, 2]), 1, 'clip')],

  ['Relu', (t) => relu(t.graph, t.float(['rows', 8], [-2, 2]))],
  ['QuickGelu as SiLU', (t) => quickGelu(t.graph, t.float(['rows', 8], [-3, 3]), 1)],
  ['QuickGelu', (t) => quickGelu(t.graph, t.float(['rows', 8], [-3, 3]), 1.702)],
  ['Gelu', (t) => gelu(t.graph, t.float(['rows', 8], [-3, 3]), 'none')],
  ['Gelu by tanh', (t) => gelu(t.graph, t.float(['rows', 8], [-3, 3]), 'tanh')],
  ['Tanh', (t) => tanh(t.graph, t.float(['rows', 8], [-3, 3]))],
  ['Sigmoid', (t) => sigmoid(t.graph, t.float(['rows', 8], [-3, 3]), 'sigmoid')],

  ['MatMul', (t) => matMul(t.graph, t.float(['rows', 'tokens', 4]), t.float(['rows', 4, 5]), 'product')],
  ['MatMul by one matrix', (t) => matMul(t.graph, t.float(['rows', 'tokens', 4]), t.float([4, 5]), 'product')],
  [
    'MatMul, leading axes broadcast both ways',
    (t) => matMul(t.graph, t.float(['rows', 1, 'tokens', 4]), t.float([2, 4, 5]), 'product'),
  ],
  [
    'MatMul of groups',
    (t) => matMul(t.graph, t.float(['rows', 2, 3, 'tokens', 4]), t.float(['rows', 2, 1, 4, 'tokens']), 'product'),
  ],
  ['MatMul of one matrix by many', (t) => matMul(t.graph, t.float([2, 4]), t.float(['rows', 3, 4, 5]), 'product')],
  [
    'MatMul of a value by itself',
    (t) => {
      const x = t.float(['rows', 3, 3])
      return matMul(t.graph, x, x, 'product')
    },
  ],
  ['a linear layer', (t) => matMulTransposed(t.graph, t.float(['rows', 'tokens', 4]), t.float([5, 4]))],
  ...[false, true].flatMap((transA) =>
    [false, true].flatMap((transB): Row[] => {
      const left = transA ? [4, 'tokens'] : ['tokens', 4]
      const right = transB ? [5, 4] : [4, 5]
      const options = { transA, transB, alpha: 0.5 }
      const kind = `FusedMatMul${transA ? ', a transposed' : ''}${transB ? ', b transposed' : ''}`
      return [
        [
          kind,
          (t) =>
            fusedMatMul(t.graph, t.float(['rows', 2, ...left]), t.float(['rows', 2, ...right]), options, 'product'),
        ],
        [
          `${kind}, by one matrix`,
          (t) => fusedMatMul(t.graph, t.float(['rows', 2, ...left]), t.float(right), options, 'product'),
        ],
        [
          `${kind}, broadcast both ways`,
          (t) => fusedMatMul(t.graph, t.float(['rows', 1, ...left]), t.float([1, 2, ...right]), options, 'product'),
        ],
      ]
    }),
  ),

  ['Reshape', (t) => reshape(t.graph, t.float(['rows', 'tokens', 6]), ['rows', 'tokens', 2, 3])],
  ['Reshape that merges symbolic axes', (t) => merged(t, t.float(['rows', 'tokens', 4]))],
  ['Squeeze', (t) => node(t, 'Squeeze', [t.float(['rows', 1, 4, 1])], ['rows', 4])],
  ['Squeeze of named axes', (t) => node(t, 'Squeeze', [t.float(['rows', 1, 4, 1]), axes(t, [1])], ['rows', 4, 1])],
  ['Unsqueeze', (t) => node(t, 'Unsqueeze', [t.float(['rows', 4]), axes(t, [1, -1])], ['rows', 1, 4, 1])],
  [
    'Expand',
    (t) => repeatLike(t.graph, t.float([2, 1, 4]), 1, t.ints(['rows', 'tokens'], [0, 0, 0, 0, 0, 0]), 1, 'expand'),
  ],
  ['Expand by new axes', (t) => node(t, 'Expand', [t.float([1, 4]), axes(t, [2, 3, 4])], [2, 3, 4])],
  ['Transpose', (t) => transpose(t.graph, t.float(['rows', 'tokens', 2, 4]), [2, 0, 3, 1], 'transpose')],
  ['Cast', (t) => cast(t.graph, cast(t.graph, t.float(['rows', 4]), 'float16'), 'float32')],
  ['Concat', (t) => concatLast(t.graph, [t.float(['rows', 4]), t.float(['rows', 3])])],
  ['Concat of symbolic axes', (t) => concatFirst(t, [t.float(['rows', 4]), t.float(['tokens', 4])])],
  [
    'Concat of one value twice',
    (t) => {
      const x = t.float(['rows', 4])
      return concatLast(t.graph, [x, x])
    },
  ],
  [
    'Split',
    (t) => {
      const [a, b, c] = splitLast(t.graph, t.float(['rows', 6]), [1, 2, 3])
      return concatLast(t.graph, [c!, a!, b!])
    },
  ],
  ['Split of which a part is unused', (t) => splitLast(t.graph, t.float(['rows', 'tokens', 6]), [1, 2, 3])[1]!],
  ['Pad', (t) => padLast(t.graph, t.float(['rows', 4]), 6)],
  ['Pad on both ends', (t) => node(t, 'Pad', [t.float(['rows', 4]), axes(t, [1, 2, 0, 3])], ['more', 9])],
  ['Slice', (t) => takeLast(t.graph, t.float(['rows', 6]), 4)],
  ['Slice of a symbolic axis', (t) => slice(t, t.float(['rows', 'tokens', 4]), [1, 1], [3, 3], [1, 2])],
  ['Slice from the end', (t) => slice(t, t.float(['rows', 'tokens', 4]), [-2], [1000], [-2])],
  [
    'Slice from a computed place',
    (t) => node(t, 'Slice', [t.float(['tokens', 4]), t.ints([1], [-2]), t.ints([1], [2]), axes(t, [0])], ['fewer', 4]),
  ],

  ['Gather', (t) => gather(t.graph, t.float([5, 4]), t.ints(['rows', 'tokens'], [0, 1, 1, 4, 1, 0]))],
  ['Gather of matrices', (t) => gather(t.graph, t.float([3, 'rows', 4]), t.ints(['tokens'], [2, 0, 2]))],
  ['Gather of one row', (t) => gather(t.graph, t.float([3, 4]), t.ints([], [2]))],
  [
    'Gather of rows that are picked equally often',
    (t) => {
      const [table, from] = [t.float([3, 4]), t.ints([6], [2, 0, 1, 2, 1, 0])]
      return pick(t.graph, table, { from, back: t.ints([6], [1, 5, 2, 4, 0, 3]), times: 2 }, 'picked')
    },
  ],
  [
    'Gather of rows in another order',
    (t) => {
      const [table, from] = [t.float(['rows', 4]), t.ints(['rows'], [1, 0])]
      return pick(t.graph, table, { from, back: t.ints(['rows'], [1, 0]), times: 1 }, 'picked')
    },
  ],
  [
    'Split and Concat of pieces whose sizes are computed',
    (t) => {
      const [x, sizes, factor] = [t.float(['tokens', 4]), t.ints([3], [2, 0, 1]), t.float([4])]
      const pieces = cutRows(t.graph, x, sizes, 3, 'pieces').map((piece) => mul(t.graph, piece, factor))
      return concatRows(t.graph, [pieces[2]!, pieces[0]!, pieces[1]!], 'tokens', 'joined')
    },
  ],
  [
    'GatherElements',
    (t) => gatherElements(t.graph, t.float(['rows', 5]), t.ints(['rows', 3], [0, 1, 1, 4, 2, 4]), 'taken'),
  ],
  ['GatherND', (t) => node(t, 'GatherND', [t.float(['tokens', 4]), t.ints(['rows', 1], [2, 2])], ['rows', 4])],
  [
    'GatherND of elements',
    (t) => node(t, 'GatherND', [t.float(['tokens', 2, 4]), t.ints(['rows', 2], [2, 1, 2, -1])], ['rows', 4]),
  ],
  [
    'ScatterElements',
    (t) =>
      scatterElements(t.graph, t.float(['rows', 5]), t.ints(['rows', 2], [0, 3, 4, 2]), t.float(['rows', 2]), 1, 'put'),
  ],
  [
    'ScatterElements that adds',
    (t) =>
      scatterAdd(t.graph, t.float(['rows', 5]), t.ints(['rows', 2], [0, 0, 4, 2]), t.float(['rows', 2]), 1, 'added'),
  ],
  [
    'ScatterND',
    (t) => scatterND(t, [t.float(['tokens', 4]), t.ints(['rows', 1], [2, 0]), t.float(['rows', 4])], 'none'),
  ],
  [
    'ScatterND that adds',
    (t) => scatterND(t, [t.float(['tokens', 4]), t.ints(['rows', 1], [1, 2]), t.float(['rows', 4])], 'add'),
  ],
  ['TopK', (t) => largestFew(t.graph, t.float(['rows', 8]), 3, 'best').values],

  ['RotaryEmbedding', (t) => rotated(t, { headDim: 4, rotaryDim: 4, interleaved: false })],
  ['RotaryEmbedding of channels side by side', (t) => rotated(t, { headDim: 4, rotaryDim: 4, interleaved: true })],
  ['RotaryEmbedding of some channels', (t) => rotated(t, { headDim: 6, rotaryDim: 4, interleaved: false })],
  ['RotaryEmbedding of some channels side by side', (t) => rotated(t, { headDim: 6, rotaryDim: 4, interleaved: true })],

  ['SimplifiedLayerNormalization', (t) => rmsNorm(t.graph, t.float(['rows', 'tokens', 8]), t.float([8]), 1e-5)],
  [
    'LayerNormalization',
    (t) => layerNorm(t.graph, t.float(['rows', 'tokens', 8]), { weight: t.float([8]), bias: t.float([8]) }, 1e-5),
  ],
  ['LayerNormalization without bias', (t) => layerNorm(t.graph, t.float(['rows', 8]), { weight: t.float([8]) }, 1e-5)],
  ['ReduceSum', (t) => sumOfAxis(t.graph, t.float(['rows', 'tokens', 4]), 1, 'sum')],
  [
    'ReduceSum of several axes',
    (t) => reduceAxes(t.graph, 'ReduceSum', t.float(['rows', 'tokens', 4]), [0, 2], { keep: false }, 'sum'),
  ],
  ['ReduceSum of all axes', (t) => node(t, 'ReduceSum', [t.float(['rows', 4])], [1, 1])],
  ['ReduceMean', (t) => meanOfLast(t.graph, t.float(['rows', 4]), 'mean')],
  [
    'ReduceMean of several axes',
    (t) => reduceAxes(t.graph, 'ReduceMean', t.float(['rows', 'tokens', 4]), [0, 2], { keep: false }, 'mean'),
  ],
  ['ReduceMax', (t) => largestOfAxis(t.graph, t.float(['rows', 'tokens', 4]), 1, 'max')],
  [
    'ReduceMax of several axes',
    (t) => reduceAxes(t.graph, 'ReduceMax', t.float(['rows', 'tokens', 4]), [1, 2], { keep: false }, 'max'),
  ],
  ['Softmax', (t) => softmax(t.graph, t.float(['rows', 'tokens', 5]), 'softmax')],
  ['LogSoftmax', (t) => node(t, 'LogSoftmax', [t.float(['rows', 5])])],
]

describe('each row of the table of gradients is right by finite differences, and on the runtime', () => {
  for (const [what, build] of rows)
    it(what, () => checkGradients({ build, sizes: SIZES, runtimeError: what === 'Cast' ? 2 ** -11 : undefined }))
})
