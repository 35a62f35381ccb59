import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { Graph } from '../../src/graph/builder.ts'
import { chain } from '../../src/graph/chain.ts'
import { encodeModel } from '../../src/graph/encode.ts'
import { add, mul } from '../../src/graph/ops.ts'
import { tensor } from '../../src/tensor/tensor.ts'

const LINKS = { input: 'x', output: 'y', own: ['state'] }

function scalar(value: number): ort.Tensor {
  return new ort.Tensor('float32', [value], [1])
}

/** y = (x * weight + shared) + state, next = state + state */
function link(): Graph {
  const graph = new Graph('link')
  const x = graph.input('x', 'float32', [1])
  const shared = graph.input('shared', 'float32', [1])
  const state = graph.input('state', 'float32', [1])
  const weight = graph.parameter({
    name: 'weight',
    dtype: 'float32',
    shape: [1],
    placement: 'inline',
    prepacked: false,
    source: { kind: 'stored' },
  })
  graph.output('y', add(graph, add(graph, mul(graph, x, weight), shared), state))
  graph.output('next', add(graph, state, state))
  return graph
}

describe('a chain of graphs', () => {
  it('feeds each copy with the one before, with parameters and states of its own and the rest shared', async () => {
    const weights = [2, 3, 5].map(
      (value, i) => [`${i}.weight`, tensor('float32', [1], new Uint8Array(Float32Array.of(value).buffer))] as const,
    )
    const session = await ort.InferenceSession.create(
      encodeModel(chain([link(), link(), link()], LINKS), new Map(weights)),
    )
    assert.deepEqual(session.inputNames, ['x', 'shared', '0.state', '1.state', '2.state'])
    assert.deepEqual(session.outputNames, ['y', '0.next', '1.next', '2.next'])
    const results = await session.run({
      x: scalar(1),
      shared: scalar(10),
      '0.state': scalar(100),
      '1.state': scalar(200),
      '2.state': scalar(300),
    })
    // ((1 * 2 + 110) * 3 + 210) * 5 + 310
    assert.deepEqual(
      ['y', '0.next', '2.next'].map((name) => results[name]!.data[0]),
      [3040, 200, 600],
    )
  })

  it('of one is the graph itself, but for its names', () => {
    const single = chain([link()], LINKS)
    assert.deepEqual(
      single.nodes.map(({ op }) => op),
      link().nodes.map(({ op }) => op),
    )
    assert.deepEqual(
      single.parameters.map(({ name }) => name),
      ['0.weight'],
    )
  })

  it('refuses links that do not exist', () => {
    for (const links of [
      { ...LINKS, input: 'z' },
      { ...LINKS, output: 'z' },
      { ...LINKS, own: ['z'] },
    ]) {
      assert.throws(() => chain([link(), link()], links), { code: 'GRAPH_VALUE', message: /value z/ })
    }
  })
})
