import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Graph } from '../../src/graph/builder.ts'
import {
  add,
  cast,
  concatLast,
  gather,
  matMulTransposed,
  padLast,
  quickGelu,
  reshape,
  rmsNorm,
  splitLast,
  takeLast,
} from '../../src/graph/ops.ts'
import type { Shape, Value } from '../../src/graph/value.ts'
import type { DType } from '../../src/tensor/dtype.ts'

type Build = (g: Graph, value: (shape: Shape, dtype?: DType) => Value) => Value | Value[]

const shapes: [string, Build, Shape][] = [
  ['Add broadcasts', (g, value) => add(g, value(['rows', 1, 8]), value(['tokens', 1])), ['rows', 'tokens', 8]],
  [
    'FusedMatMul',
    (g, value) => matMulTransposed(g, value(['rows', 'tokens', 8]), value([5, 8])),
    ['rows', 'tokens', 5],
  ],
  ['RMSNorm', (g, value) => rmsNorm(g, value(['rows', 8]), value([8]), 1e-6), ['rows', 8]],
  [
    'Gather',
    (g, value) => gather(g, value(['positions', 8]), value(['rows', 'tokens'], 'int64')),
    ['rows', 'tokens', 8],
  ],
  [
    'Reshape',
    (g, value) => reshape(g, value(['rows', 'tokens', 8]), ['rows', 'tokens', 2, 4]),
    ['rows', 'tokens', 2, 4],
  ],
  ['Concat', (g, value) => concatLast(g, [value(['rows', 8]), value(['rows', 3])]), ['rows', 11]],
  ['Pad', (g, value) => padLast(g, value(['rows', 20]), 24), ['rows', 24]],
  ['Slice', (g, value) => takeLast(g, value(['rows', 24]), 20), ['rows', 20]],
  ['Cast', (g, value) => cast(g, value(['rows']), 'float16'), ['rows']],
  ['Split', (g, value) => splitLast(g, value(['rows', 8]), [2, 6]), ['rows', 6]],
]

const refusals: [string, Build, string, RegExp][] = [
  [
    'Add of shapes that do not broadcast',
    (g, value) => add(g, value([4]), value([8]), 'sum'),
    'GRAPH_SHAPE',
    /node layer\.sum: Add.*\[4\].*\[8\]/,
  ],
  ['Add of different symbols', (g, value) => add(g, value(['rows']), value(['tokens'])), 'GRAPH_SHAPE', /rows.*tokens/],
  [
    'Add of different dtypes',
    (g, value) => add(g, value([4]), value([4], 'float16')),
    'GRAPH_DTYPE',
    /layer\.Add.*float16/,
  ],
  [
    'FusedMatMul of other channels',
    (g, value) => matMulTransposed(g, value([2, 8]), value([8, 5]), 'q_proj'),
    'GRAPH_SHAPE',
    /q_proj.*\[out, in\]/,
  ],
  [
    'FusedMatMul of another dtype',
    (g, value) => matMulTransposed(g, value([2, 8]), value([5, 8], 'bfloat16'), 'q_proj'),
    'GRAPH_DTYPE',
    /q_proj.*float32.*bfloat16/,
  ],
  [
    'RMSNorm with another weight',
    (g, value) => rmsNorm(g, value([2, 8]), value([4]), 1e-6, 'norm'),
    'GRAPH_SHAPE',
    /norm.*\[8\].*\[4\]/,
  ],
  [
    'Gather by int32',
    (g, value) => gather(g, value([4, 8]), value([2], 'int32'), 'embed'),
    'GRAPH_DTYPE',
    /embed.*int64.*int32/,
  ],
  ['an activation of integers', (g, value) => quickGelu(g, value([4], 'int32'), 1, 'act'), 'GRAPH_DTYPE', /act.*int32/],
  [
    'Reshape to another size',
    (g, value) => reshape(g, value(['rows', 8]), ['rows', 9]),
    'GRAPH_SHAPE',
    /Reshape.*\[rows, 9\]/,
  ],
  [
    'Reshape that would need two unknowns',
    (g, value) => reshape(g, value(['rows', 'tokens', 8]), ['tokens', 'rows', 8]),
    'GRAPH_SHAPE',
    /Reshape/,
  ],
  ['Split into other sizes', (g, value) => splitLast(g, value(['rows', 8]), [3, 4]), 'GRAPH_SHAPE', /Split.*3, 4/],
  ['Concat of other rows', (g, value) => concatLast(g, [value([2, 8]), value([3, 8])]), 'GRAPH_SHAPE', /Concat/],
  ['Pad to fewer channels', (g, value) => padLast(g, value([2, 8]), 4), 'GRAPH_SHAPE', /Pad.*4/],
  ['Slice of too many channels', (g, value) => takeLast(g, value([2, 8]), 9), 'GRAPH_SHAPE', /Slice.*9/],
]

describe('operators', () => {
  for (const [id, build, shape] of shapes) {
    it(`infer the result's shape: ${id}`, () => {
      const result = run(build)
      assert.deepEqual((Array.isArray(result) ? result.at(-1)! : result).shape, shape)
    })
  }

  for (const [id, build, code, message] of refusals) {
    it(`refuse, naming the node: ${id}`, () => {
      assert.throws(() => run(build), { code, message })
    })
  }

  it('leave a value of the wanted dtype as it is', () => {
    const g = new Graph('test')
    const x = g.input('x', 'float32', [4])
    assert.equal(cast(g, x, 'float32'), x)
    assert.equal(g.nodes.length, 0)
  })
})

function run(build: Build): Value | Value[] {
  const g = new Graph('test')
  let inputs = 0
  return g.scope('layer', () => build(g, (shape, dtype = 'float32') => g.input(`x${inputs++}`, dtype, shape)))
}
