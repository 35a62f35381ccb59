import { describe, it } from 'node:test'
import { erf, neg } from '../../../src/graph/elementwise-ops.ts'
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
import type { Value } from '../../../src/graph/value.ts'
import { type Case, checkGradients, type Inputs } from './check.ts'

const node = (inputs: Inputs, op: string, operands: readonly Value[], shape = operands[0]!.shape): Value =>
  inputs.graph.node({ op, inputs: operands, outputs: [{ dtype: 'float32', shape }] })[0]!

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
]

describe('each row of the table of gradients is right by finite differences, and on the runtime', () => {
  for (const [what, build] of rows) it(what, () => checkGradients({ build, sizes: SIZES }))
})
