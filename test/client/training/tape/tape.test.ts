import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Parameter, parameter } from '../../../../src/client/training/parameter.ts'
import { throughBlocks } from '../../../../src/client/training/tape/blocks.ts'
import { headLoss, lastNorm } from '../../../../src/client/training/tape/ends.ts'
import { binaryCrossEntropy, crossEntropy, meanSquares } from '../../../../src/client/training/tape/losses.ts'
import { linear, putBefore, takeRows } from '../../../../src/client/training/tape/rows.ts'
import { Tape, type Variable } from '../../../../src/client/training/tape/tape.ts'
import { seededRandom } from '../../../../src/sampling/random.ts'
import { numElements } from '../../../../src/tensor/tensor.ts'
import { StandIn } from '../stand-in.ts'

const random = seededRandom(5)

function drawn(name: string, shape: readonly number[]): Parameter {
  return parameter(
    name,
    shape,
    Float32Array.from({ length: numElements(shape) }, () => 2 * random() - 1),
  )
}

type Inputs = [Variable, Variable, Variable, Variable]

type Model = (tape: Tape, ...inputs: Inputs) => Promise<Variable> | Variable

/** Compares the tape's gradients with central differences of the loss, each in every direction. */
async function checkGradients(model: Model, parameters: readonly Parameter[]): Promise<void> {
  const tape = new Tape()
  const loss = await model(tape, ...(parameters.map((each) => tape.parameter(each)) as Inputs))
  await tape.backward(loss)
  const again = async (): Promise<number> => {
    const other = new Tape()
    return (await model(other, ...(parameters.map((each) => other.parameter(each)) as Inputs))).values[0]!
  }
  for (const { name, values, gradient } of parameters) {
    assert.ok(
      gradient.some((value) => value !== 0),
      `${name} has no gradient`,
    )
    for (const i of values.keys()) {
      const [value, step] = [values[i]!, 1e-2]
      values[i] = value + step
      const above = await again()
      values[i] = value - step
      const below = await again()
      values[i] = value
      const difference = (above - below) / (2 * step)
      assert.ok(
        Math.abs(difference - gradient[i]!) < 3e-3 * Math.max(1, Math.abs(difference)),
        `${name}[${i}]: ${gradient[i]} where differences give ${difference}`,
      )
    }
  }
}

/** Makes one value of many by an operation whose gradient is tested by itself, too. */
function summedOf(tape: Tape, value: Variable): Variable {
  return meanSquares(tape, value, new Float32Array(value.values.length).fill(0.3))
}

describe('gradients are those that differences give', () => {
  const cases: Record<string, [Model, Parameter[]]> = {
    'rows put before': [
      async (tape, rows, sequences) => summedOf(tape, await putBefore(tape, rows, sequences)),
      [drawn('rows', [2, 3]), drawn('sequences', [2, 4, 3])],
    ],
    'rows taken, one of them twice': [
      async (tape, rows) => summedOf(tape, await takeRows(tape, rows, [1, 5, 5])),
      [drawn('rows', [2, 4, 3])],
    ],
    'a linear layer': [
      async (tape, x, weight) => summedOf(tape, await linear(tape, x, weight)),
      [drawn('x', [3, 4]), drawn('weight', [2, 4])],
    ],
    'a value that is used twice': [async (tape, x) => summedOf(tape, await linear(tape, x, x)), [drawn('x', [3, 4])]],
    'cross entropy': [(tape, logits) => crossEntropy(tape, logits, [2, 0, 3]), [drawn('logits', [3, 4])]],
    'mean squares': [
      (tape, logits) => meanSquares(tape, logits, Float32Array.of(1, -1, 0.5, 2)),
      [drawn('logits', [2, 2])],
    ],
    'binary cross entropy': [
      (tape, logits) => binaryCrossEntropy(tape, logits, Float32Array.of(1, 0, 0.3, 1)),
      [drawn('logits', [2, 2])],
    ],
    'blocks, their prompts and their adapter': [
      async (tape, hidden, prompts, a, b) => {
        const model = new StandIn()
        const adapter = [{ name: 'module', a, b }]
        const pass = await throughBlocks(tape, model.blocks(a, b), hidden, { prompts, adapter })
        return summedOf(tape, pass)
      },
      [drawn('hidden', [2, 4, 3]), drawn('prompts', [1, 2, 3]), drawn('a', [2, 3]), drawn('b', [3, 2])],
    ],
    'last norm': [
      async (tape, hidden) => summedOf(tape, await lastNorm(tape, new StandIn(), hidden)),
      [drawn('hidden', [2, 3])],
    ],
    'head and loss': [
      (tape, hidden) =>
        headLoss(tape, new StandIn(), hidden, {
          targets: Int32Array.of(1, 4, 0),
          weights: Float32Array.of(1, 0.5, 0),
        }),
      [drawn('hidden', [3, 3])],
    ],
    'a head that is trained and its loss': [
      (tape, hidden, weight) =>
        headLoss(
          tape,
          new StandIn(),
          hidden,
          { targets: Int32Array.of(1, 4, 0), weights: Float32Array.of(1, 0.5, 0) },
          { weight },
        ),
      [drawn('hidden', [3, 3]), drawn('head', [5, 3])],
    ],
  }
  for (const [name, [model, parameters]] of Object.entries(cases)) test(name, () => checkGradients(model, parameters))
})

test('gradients add up over tapes, scaled, and constants have none', async () => {
  const weight = drawn('weight', [2, 3])
  const x = drawn('x', [4, 3])
  const once = async (scale: number): Promise<void> => {
    const tape = new Tape()
    await tape.backward(
      crossEntropy(tape, await linear(tape, tape.constant(x.shape, x.values), tape.parameter(weight)), [0, 1, 1, 0]),
      scale,
    )
  }
  await once(1)
  const first = weight.gradient.slice()
  await once(0.5)
  for (const [i, value] of weight.gradient.entries()) assert.ok(Math.abs(value - 1.5 * first[i]!) < 1e-6)
  assert.ok(x.gradient.every((value) => value === 0))
})

test('a loss of several values is refused', async () => {
  const tape = new Tape()
  await assert.rejects(tape.backward(tape.parameter(drawn('x', [2]))), { code: 'USAGE' })
})

test('a tape that is not walked back asks for no way back, and gives back what it holds', async () => {
  const model = new StandIn()
  const x = drawn('x', [1, 2, 3])
  {
    using tape = new Tape({ records: false })
    await throughBlocks(tape, model.blocks(), tape.parameter(x))
  }
  {
    using tape = new Tape()
    await throughBlocks(tape, model.blocks(), tape.parameter(x))
  }
  assert.deepEqual(model.count, { forward: 2, backward: 0, released: 1 })
})
