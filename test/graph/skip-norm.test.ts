import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blockGraphs } from '../../src/families/graphs/graphs.ts'
import { Graph } from '../../src/graph/builder.ts'
import { chain } from '../../src/graph/chain.ts'
import type { FinishedGraph } from '../../src/graph/encode.ts'
import { add, rmsNorm } from '../../src/graph/ops.ts'
import { fuseSkipNorms } from '../../src/graph/skip-norm.ts'
import { loadFixture } from '../families/support.ts'

function ops({ nodes }: FinishedGraph): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { op } of nodes) counts[op] = (counts[op] ?? 0) + 1
  return counts
}

/** Whether each node only reads what is there before it. */
function isInOrder({ nodes, inputs, parameters, constants }: FinishedGraph): boolean {
  const known = new Set([...inputs, ...parameters, ...constants.map(({ value }) => value)].map(({ name }) => name))
  return nodes.every(({ inputs: read, outputs }) => {
    const right = read.every((value) => value === undefined || known.has(value.name))
    for (const { name } of outputs) known.add(name)
    return right
  })
}

for (const [fixture, norms, fused] of [
  // Two norms a block, the first of which has no sum before it.
  ['llama', 'SimplifiedLayerNormalization', 5],
  ['bloom', 'LayerNormalization', 5],
  // Attention and MLP read the same norm, of the sum of the block before.
  ['falcon-7b', 'LayerNormalization', 2],
  // Norms of what is added, too, which stay.
  ['gemma2', 'SimplifiedLayerNormalization', 5],
] as const)
  test(`norms of sums are one operator, over the ends of blocks: ${fixture}`, async () => {
    const { config } = await loadFixture(fixture)
    const graphs = blockGraphs(config, { device: 'cuda', dtype: 'float16' }).slice(0, 3)
    const plain = chain(graphs, { input: 'hidden', output: 'output', own: ['past_key', 'past_value'] })
    const graph = fuseSkipNorms(plain)
    const [before, after] = [ops(plain), ops(graph)]
    assert.equal(after[`Skip${norms}`], fused)
    assert.equal(after[norms] ?? 0, before[norms]! - fused)
    assert.equal(after['Add'] ?? 0, before['Add']! - fused)
    assert.ok(isInOrder(plain) && isInOrder(graph))
    assert.deepEqual(graph.outputs, plain.outputs)
  })

test('a sum that is broadcast, or that somebody reads before the norm, stays', () => {
  const g = new Graph('sums')
  const [x, y, row, weight] = [
    g.input('x', 'float32', ['rows', 'tokens', 8]),
    g.input('y', 'float32', ['rows', 'tokens', 8]),
    g.input('row', 'float32', [1, 1, 8]),
    g.input('weight', 'float32', [8]),
  ] as const
  const early = add(g, x, y, 'early')
  g.output('first', add(g, early, early, 'reader'))
  g.output('second', rmsNorm(g, early, weight, 1e-6, 'norm_1'))
  g.output('third', rmsNorm(g, add(g, x, row, 'broadcast'), weight, 1e-6, 'norm_2'))
  assert.deepEqual(ops(fuseSkipNorms(g)), ops(g))
})
