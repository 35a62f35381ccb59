import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Graph } from '../../../src/graph/builder.ts'
import { addGradients } from '../../../src/graph/gradient/add-gradients.ts'
import { fusedMatMul } from '../../../src/graph/matrix-ops.ts'
import {
  add,
  concatLast,
  layerNorm,
  matMulTransposed,
  mul,
  quickGelu,
  reshape,
  rmsNorm,
  splitLast,
  sub,
  tanh,
} from '../../../src/graph/ops.ts'
import {
  div,
  exp,
  largestFew,
  largestOfAxis,
  lessOrEqual,
  matMul,
  sigmoid,
  softmax,
  sumOfAxis,
  transpose,
  where,
} from '../../../src/graph/primitive-ops.ts'
import { reduceAxes } from '../../../src/graph/reduce-ops.ts'
import type { Value } from '../../../src/graph/value.ts'
import { randomFloats } from '../support.ts'
import { checkGradients, Inputs } from './check.ts'
import { llamaBlock } from './llama-block.ts'

const SIZES = { rows: 2, tokens: 3, one: 1 }

describe('addGradients', () => {
  it('adds up what comes from several uses of a value', () =>
    checkGradients({
      sizes: SIZES,
      build: (t) => {
        const g = t.graph
        const x = t.float(['rows', 'tokens', 4])
        const squashed = tanh(g, x)
        const left = mul(g, squashed, x)
        return add(g, matMulTransposed(g, left, t.float([4, 4])), sub(g, squashed, sumOfAxis(g, left, 1, 'sum')))
      },
    }))

  it('goes through a value that is an output as well', () =>
    checkGradients({
      sizes: SIZES,
      build: (t) => {
        const middle = tanh(t.graph, t.float(['rows', 4]), 'middle')
        t.graph.output('hidden', middle)
        return mul(t.graph, middle, middle)
      },
    }))

  it('is with respect to values in the middle, also of one that depends on another', () =>
    checkGradients({
      sizes: SIZES,
      build: (t) => {
        const x = t.float(['rows', 4])
        const middle = tanh(t.graph, x, 'middle')
        const last = exp(t.graph, middle, 'last')
        return { of: mul(t.graph, last, x), wrt: [last, x, middle] }
      },
    }))

  it('takes axes that are symbolic and have size 1 for what they are', () =>
    checkGradients({
      sizes: SIZES,
      build: (t) => {
        const g = t.graph
        const [wide, narrow] = [t.float(['one', 'tokens', 4]), t.float(['one', 1, 4])]
        const mixed = softmax(g, add(g, wide, narrow), 'softmax')
        return matMul(
          g,
          reduceAxes(g, 'ReduceMax', mixed, [0], { keep: true }, 'max'),
          t.float(['one', 4, 2]),
          'product',
        )
      },
    }))

  it('leaves sums that were repeated, or not, in the right number', () =>
    checkGradients({
      sizes: SIZES,
      build: (t) => {
        const g = t.graph
        const x = t.float(['rows', 'tokens', 4], [0.5, 2])
        // The gradient of each sum is one number for many elements until something needs them all.
        const total = sumOfAxis(g, add(g, x, t.float([1, 4])), 2, 'total')
        const shares = div(g, x, sumOfAxis(g, add(g, x, t.float([1])), 2, 'whole'), 'shares')
        return add(g, mul(g, total, t.float(['tokens', 1])), sumOfAxis(g, shares, 1, 'shares_of_tokens'))
      },
    }))

  it('is right for a whole block with adapters', () =>
    checkGradients({
      sizes: { rows: 2, tokens: 3 },
      build: (t) => {
        const { output, hidden, lora } = llamaBlock(t, true)
        return { of: output, wrt: [hidden, ...lora.slice(-4)] }
      },
    }))

  it('is right for random compositions', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      try {
        await checkGradients({ sizes: SIZES, seed, runtimeError: 5e-5, build: (t) => composition(t, seed) })
      } catch (error) {
        throw new Error(`composition of seed ${seed}: ${(error as Error).message}`, { cause: error })
      }
    }
  })

  it('knows nothing of values that it does not depend on, and gives back what it was given', () => {
    const g = new Graph('test')
    const [x, other] = [g.input('x', 'float32', ['rows', 4]), g.input('other', 'float32', [4])]
    const given = g.input('given', 'float32', ['rows', 4])
    const y = tanh(g, x)
    add(g, y, other)
    assert.deepEqual([...addGradients(g, { of: y, given, wrt: [other] })], [])
    assert.deepEqual([...addGradients(g, { of: y, given, wrt: [y, other] })], [[y, given]])
  })

  it('adds nothing for what is not wanted', () => {
    const g = new Graph('test')
    const x = g.input('x', 'float32', ['rows', 4])
    const y = matMulTransposed(g, tanh(g, x), g.input('weight', 'float32', [3, 4]), 'linear')
    const before = g.nodes.length
    const middle = g.nodes[0]!.outputs[0]!
    addGradients(g, { of: y, given: g.input('given', 'float32', y.shape), wrt: [middle] })
    assert.deepEqual(
      g.nodes.slice(before).map(({ op }) => op),
      ['FusedMatMul'],
    )
  })

  it('names an operator on the way that has no gradient, and passes by all others', () => {
    const g = new Graph('test')
    const x = g.input('x', 'float32', ['rows', 4])
    const odd = (of: Value) => g.node({ op: 'Sinh', name: 'odd', inputs: [of], outputs: [of] })[0]!
    const y = mul(g, tanh(g, x), odd(g.input('z', 'float32', [4])))
    const given = g.input('given', 'float32', ['rows', 4])
    assert.ok(addGradients(g, { of: y, given, wrt: [x] }).has(x))
    assert.throws(() => addGradients(g, { of: odd(x), given, wrt: [x] }), {
      code: 'GRAPH_UNSUPPORTED',
      message: /gradient of node odd_2 \(Sinh\)/,
    })
  })

  it('names an input that has no gradient, and a use that no row covers', () => {
    const g = new Graph('test')
    const x = g.input('x', 'float32', ['rows', 4])
    const given = g.input('given', 'float32', ['rows', 4])
    const node = (op: string, inputs: Value[]) => g.node({ op, name: op, inputs, outputs: [x] })[0]!
    const power = node('Pow', [g.input('base', 'float32', ['rows', 4]), x])
    assert.throws(() => addGradients(g, { of: power, given, wrt: [x] }), {
      code: 'GRAPH_UNSUPPORTED',
      message: /Pow.*its input 1/,
    })
    const most = node('Max', [x, given, x])
    assert.throws(() => addGradients(g, { of: most, given, wrt: [x] }), {
      code: 'GRAPH_UNSUPPORTED',
      message: /Max of 3 operands/,
    })
  })

  it('refuses a gradient of another shape than what it is the gradient of', () => {
    const g = new Graph('test')
    const x = g.input('x', 'float32', ['rows', 4])
    assert.throws(() => addGradients(g, { of: tanh(g, x), given: g.input('given', 'float32', [4]), wrt: [x] }), {
      code: 'GRAPH_VALUE',
      message: /cannot be float32 \[4\]/,
    })
  })
})

/** Values of [rows, tokens, 4], each made of one or two that were there before. */
function composition(t: Inputs, seed: number): Value {
  const { graph: g } = t
  const values = [t.float(['rows', 'tokens', 4]), t.float(['rows', 'tokens', 4]), t.float(['tokens', 4])]
  const random = randomFloats(seed, 64).map((value) => (value + 1) / 2)
  let next = 0
  const choose = <T>(from: readonly T[]): T => from[Math.floor(random[next++]! * from.length)]!
  const steps: readonly ((a: Value, b: Value) => Value)[] = [
    (a, b) => add(g, a, b),
    (a, b) => sub(g, a, b),
    (a, b) => mul(g, a, b),
    (a, b) => div(g, a, add(g, exp(g, b, 'exp'), sigmoid(g, a, 'sigmoid')), 'div'),
    (a, b) => where(g, lessOrEqual(g, a, b, 'is_less'), tanh(g, a), mul(g, b, b), 'where'),
    (a) => softmax(g, a, 'softmax'),
    (a) => rmsNorm(g, a, t.float([4]), 1e-3),
    (a) => layerNorm(g, a, { weight: t.float([4]), bias: t.float([4]) }, 1e-3),
    (a) => quickGelu(g, a, 1),
    (a) => matMulTransposed(g, a, t.float([4, 4])),
    (a, b) => fusedMatMul(g, fusedMatMul(g, a, b, { transB: true, alpha: 0.5 }, 'scores'), a, {}, 'mixed'),
    (a) => sub(g, a, largestOfAxis(g, a, a.shape.length - 1, 'peak')),
    (a) => add(g, a, sumOfAxis(g, a, a.shape.length - 2, 'sum')),
    (a) => concatLast(g, splitLast(g, a, [1, 3]).toReversed()),
    (a) => add(g, a, largestFew(g, a, 1, 'best').values),
    (a) => {
      const shape = [...a.shape.slice(0, -1), 2, 2]
      const order = [...a.shape.keys()].slice(0, -1).concat([a.shape.length, a.shape.length - 1])
      return reshape(g, transpose(g, reshape(g, a, shape), order, 'transposed'), a.shape)
    },
  ]
  for (let step = 0; step < 8; step++) values.push(choose(steps)(choose(values.slice(-4)), choose(values)))
  // All are used, so each input has a gradient.
  return values.reduce((sum, value) => add(g, sum, value))
}
