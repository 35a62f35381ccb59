import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Graph } from '../../../src/graph/builder.ts'
import type { FinishedGraph } from '../../../src/graph/encode.ts'
import { addGradients } from '../../../src/graph/gradient/add-gradients.ts'
import { savedBytes } from '../../../src/graph/gradient/saved-bytes.ts'
import { type GradientHalves, splitAtGradient } from '../../../src/graph/gradient/split-at-gradient.ts'
import { add, matMulTransposed, mul, reshape, tanh } from '../../../src/graph/ops.ts'
import { exp } from '../../../src/graph/primitive-ops.ts'
import type { Value } from '../../../src/graph/value.ts'
import { randomFloats } from '../support.ts'
import { assertClose, Inputs, runOnRuntime } from './check.ts'
import { type Doubles, doubles, sizeOf } from './doubles.ts'
import { evaluate } from './evaluate.ts'
import { llamaBlock, SIZE } from './llama-block.ts'

const SIZES = { rows: 2, tokens: 5 }

describe('splitAtGradient', () => {
  for (const adapters of [false, true]) {
    it(`cuts a block ${adapters ? 'with adapters ' : ''}into halves that give the gradients of the whole`, async () => {
      const { joint, halves, values, gradients } = blockOf(adapters)
      const found = await runHalves(halves, values)
      const exact = evaluate(joint, values)
      assert.deepEqual([...found.keys()].sort(), [...gradients.keys()].sort())
      for (const [name, value] of gradients) assertClose(found.get(name)!.data, exact(value).data, 1e-5, name)
    })
  }

  it('saves results of products, and computes again what is cheap', () => {
    const { halves } = blockOf(false)
    const { hidden, heads, kvHeads, headDim, intermediate } = SIZE
    // Queries, keys and values, what attention adds to the hidden states, gate and up.
    const floats = (heads + 2 * kvHeads) * headDim + hidden + 2 * intermediate
    assert.equal(savedBytes(halves.saved, { rows: 1, tokens: 1 }), 4 * floats)
    assert.equal(savedBytes(halves.saved, SIZES), SIZES.rows * SIZES.tokens * 4 * floats)
    assert.equal(halves.saved.length, 6)
  })

  it('saves for adapters what their products were made of, and no more', () => {
    const { halves } = blockOf(true)
    const { hidden, heads, kvHeads, headDim, intermediate, rank } = SIZE
    const floats = (heads + 2 * kvHeads) * headDim + hidden + 2 * intermediate
    // The input of attention's output projection; and of each of 7 adapters' matrices B.
    assert.equal(savedBytes(halves.saved, { rows: 1, tokens: 1 }), 4 * (floats + heads * headDim + 7 * rank))
  })

  it('leaves out of each half what it does not need', () => {
    const { halves } = blockOf(false)
    // 7 linear layers and attention's two products.
    assert.equal(products(halves.forward), 9)
    // Of each linear layer the gradient of its input, of attention two for each product, and the scores again.
    assert.equal(products(halves.backward), 7 + 4 + 1)
    // At once, scores are computed once, and not what only the output needs.
    assert.equal(products(halves.both), 8 + 7 + 4)
    for (const half of [halves.forward, halves.backward, halves.both]) {
      const used = new Set(half.nodes.flatMap(({ inputs }) => inputs))
      const outputs = new Set(half.outputs.map(({ value }) => value))
      for (const node of half.nodes)
        assert.ok(
          node.outputs.some((output) => used.has(output) || outputs.has(output)),
          `${node.name} is dead`,
        )
      for (const { value } of half.constants) assert.ok(used.has(value), `${value.name} is dead`)
      for (const input of half.inputs) assert.ok(used.has(input), `${input.name} is dead`)
    }
    assert.ok(!halves.forward.inputs.some(({ name }) => name === 'output_gradient'))
  })

  it('saves an output under its own name', async () => {
    const graph = new Graph('test')
    const inputs = new Inputs(graph, SIZES, 3)
    const x = inputs.float(['rows', 4])
    const output = tanh(graph, matMulTransposed(graph, x, inputs.float([4, 4])))
    const { joint, halves, values, gradients } = cut(inputs, output, new Map([['x_gradient', x]]))
    assert.deepEqual(
      halves.saved.map(({ name }) => name),
      ['output'],
    )
    const found = await runHalves(halves, values)
    assertClose(found.get('x_gradient')!.data, evaluate(joint, values)(gradients.get('x_gradient')!).data, 1e-5, 'x')
  })

  it('names gradients that are one value, or the one that was given', async () => {
    const graph = new Graph('test')
    const inputs = new Inputs(graph, SIZES, 3)
    const [x, y] = [inputs.float(['rows', 4]), inputs.float(['rows', 4])]
    const { halves, values } = cut(
      inputs,
      add(graph, x, y),
      new Map([
        ['of_x', x],
        ['of_y', y],
      ]),
    )
    const found = await runHalves(halves, values)
    assert.deepEqual(halves.saved, [])
    for (const name of ['of_x', 'of_y'])
      assertClose(found.get(name)!.data, values.get('output_gradient')!.data, 0, name)
  })

  it('does not save what a smaller value makes again', () => {
    const graph = new Graph('test')
    const inputs = new Inputs(graph, SIZES, 3)
    const x = inputs.float(['rows', 4])
    // The product is small; what is made of it is repeated along the tokens.
    const small = matMulTransposed(graph, x, inputs.float([4, 4]), 'small')
    const wide = exp(graph, add(graph, reshape(graph, small, ['rows', 1, 4]), inputs.float(['tokens', 4])), 'wide')
    const { halves } = cut(inputs, add(graph, wide, inputs.float([4])), new Map([['of_x', x]]))
    assert.equal(savedBytes(halves.saved, { rows: 1 }), 4 * 4)
  })

  it('refuses outputs that no node yields, and names that other values have', () => {
    const graph = new Graph('test')
    const x = graph.input('x', 'float32', ['rows', 4])
    const output = mul(graph, x, x, 'square')
    const given = graph.input('given', 'float32', ['rows', 4])
    const found = addGradients(graph, { of: output, given, wrt: [x] })
    const split = (name: string, value: Value) =>
      splitAtGradient(graph, {
        forwardOutputs: new Map([['y', value]]),
        given,
        gradients: new Map([[name, found.get(x)!]]),
      })
    assert.throws(() => split('of_x', x), { code: 'GRAPH_VALUE', message: /output y: x is no node's result/ })
    assert.throws(() => split('square', output), { code: 'GRAPH_NAME', message: /a gradient cannot be named square/ })
  })
})

function products({ nodes }: FinishedGraph): number {
  return nodes.filter(({ op }) => op === 'FusedMatMul').length
}

/** The block with the gradients of its input and of the adapters' matrices, and their exact input. */
function blockOf(adapters: boolean) {
  const joint = new Graph('block')
  const inputs = new Inputs(joint, SIZES, 7)
  const { hidden, output, lora } = llamaBlock(inputs, adapters)
  const wrt = new Map([['hidden_gradient', hidden], ...lora.map((value) => [`gradient:${value.name}`, value] as const)])
  return cut(inputs, output, wrt)
}

function cut({ graph, all }: Inputs, output: Value, wrt: ReadonlyMap<string, Value>) {
  const given = graph.input('output_gradient', 'float32', output.shape)
  const found = addGradients(graph, { of: output, given, wrt: [...wrt.values()] })
  const gradients = new Map([...wrt].map(([name, value]) => [name, found.get(value)!]))
  const halves = splitAtGradient(graph, { forwardOutputs: new Map([['output', output]]), given, gradients })
  const shape = output.shape.map((dim) => (typeof dim === 'number' ? dim : SIZES[dim as keyof typeof SIZES]))
  const random = randomFloats(99, sizeOf(shape))
  const values = new Map(all.map((input) => [input.name, input.values]))
  values.set(
    given.name,
    doubles(shape, (i) => random[i]!),
  )
  return { joint: graph, halves, values, gradients }
}

/** Runs both halves on the runtime: the gradients by name. At once they give the same. */
async function runHalves(
  { forward, backward, both, saved }: GradientHalves,
  values: ReadonlyMap<string, Doubles>,
): Promise<ReadonlyMap<string, Doubles>> {
  const results = await runOnRuntime(forward, values)
  assert.deepEqual(new Set(results.keys()), new Set(['output', ...saved.map(({ name }) => name)]))
  const found = await runOnRuntime(backward, new Map([...values, ...results]))
  const atOnce = await runOnRuntime(both, values)
  assert.deepEqual(new Set(atOnce.keys()), new Set(found.keys()))
  for (const [name, { data }] of found) assertClose(atOnce.get(name)!.data, data, 1e-5, name)
  return found
}
