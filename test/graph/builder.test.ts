import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Graph } from '../../src/graph/builder.ts'
import { add, relu } from '../../src/graph/ops.ts'

describe('Graph', () => {
  it('keeps nodes in order, with unique names within their scopes', () => {
    const g = new Graph('test')
    const x = g.input('x', 'float32', ['rows', 4])
    const y = g.scope('mlp', () => g.scope('gate', () => relu(g, relu(g, x, 'act'), 'act')))
    const z = add(g, x, y)
    g.output('z', z)
    assert.deepEqual(
      g.nodes.map(({ name, op }) => [name, op]),
      [
        ['mlp.gate.act', 'Relu'],
        ['mlp.gate.act_2', 'Relu'],
        ['Add', 'Add'],
      ],
    )
    assert.deepEqual(g.nodes[2]!.inputs, [x, y])
    assert.deepEqual(g.outputs, [{ name: 'z', value: z }])
    assert.deepEqual(z.shape, ['rows', 4])
  })

  it('leaves a scope also when building fails', () => {
    const g = new Graph('test')
    assert.throws(
      () =>
        g.scope('inner', () => {
          throw new Error('broken')
        }),
      /broken/,
    )
    assert.equal(g.nodeName('x'), 'x')
  })

  it('refuses a name that is taken', () => {
    const g = new Graph('test')
    const x = g.input('x', 'float32', [4])
    const parameter = {
      name: 'x',
      dtype: 'float32',
      shape: [4],
      placement: 'inline',
      prepacked: false,
      source: { kind: 'stored' },
    } as const
    assert.throws(() => g.input('x', 'int64', []), { code: 'GRAPH_NAME', message: /test.*x/ })
    assert.throws(() => g.parameter(parameter), { code: 'GRAPH_NAME' })
    const y = relu(g, x)
    assert.throws(() => g.output('x', y), { code: 'GRAPH_NAME' })
  })

  it('refuses values of other graphs, naming the node', () => {
    const other = new Graph('other').input('x', 'float32', [4])
    const g = new Graph('test')
    g.input('x', 'float32', [4])
    assert.throws(() => relu(g, other, 'act'), { code: 'GRAPH_VALUE', message: /node act.*test/ })
  })

  it('refuses to output an input, or a result twice', () => {
    const g = new Graph('test')
    const x = g.input('x', 'float32', [4])
    assert.throws(() => g.output('y', x), { code: 'GRAPH_VALUE', message: /output y/ })
    const y = relu(g, x)
    g.output('y', y)
    assert.throws(() => g.output('z', y), { code: 'GRAPH_VALUE' })
  })
})
