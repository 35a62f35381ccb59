import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Graph } from '../../src/graph/builder.ts'
import { onlyOutputs } from '../../src/graph/only-outputs.ts'
import { add, mul } from '../../src/graph/ops.ts'
import { constantLike } from '../../src/graph/primitive-ops.ts'

test('what the wanted outputs do not need is left out, whatever the order', () => {
  const graph = new Graph('both')
  const x = graph.input('x', 'float32', ['n'])
  const parameter = (name: string) =>
    graph.parameter({
      name,
      dtype: 'float32',
      shape: [1],
      placement: 'external',
      prepacked: false,
      source: { kind: 'stored' },
    })
  const [a, b] = [parameter('a'), parameter('b')]
  const shared = add(graph, x, a, 'shared')
  const other = mul(graph, shared, constantLike(graph, x, 2, 'two'), 'other')
  graph.output('kept', add(graph, shared, shared, 'kept'))
  graph.output('left', add(graph, other, b, 'left'))
  const { nodes, parameters, constants, outputs, inputs } = onlyOutputs(graph, ['kept'])
  assert.deepEqual(
    nodes.map(({ op, inputs: taken }) => [op, taken.map((value) => value?.name)]),
    [
      ['Add', ['x', 'a']],
      ['Add', [shared.name, shared.name]],
    ],
  )
  assert.deepEqual(
    [parameters, constants, outputs, inputs].map((list) => list.length),
    [1, 0, 1, 1],
  )
  assert.equal(onlyOutputs(graph, ['kept', 'left']).nodes.length, graph.nodes.length)
})
