import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { Graph } from '../../src/graph/builder.ts'
import { encodeModel } from '../../src/graph/encode.ts'
import { ACTIVATION_NAMES, Layers } from '../../src/graph/layers.ts'

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))
const silu = (x: number) => x * sigmoid(x)
const geluTanh = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))

const FORMULAS: Record<string, (x: number) => number> = {
  silu,
  swish: silu,
  gelu: (x) => x * (0.5 + normalIntegral(x)),
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  quick_gelu: (x) => x * sigmoid(1.702 * x),
  relu: (x) => Math.max(x, 0),
  relu2: (x) => Math.max(x, 0) ** 2,
}

/** The normal density from 0 to x, by the midpoint rule. */
function normalIntegral(x: number): number {
  const step = x / 10000
  let sum = 0
  for (let i = 0; i < 10000; i++) sum += Math.exp(-0.5 * ((i + 0.5) * step) ** 2)
  return (sum * step) / Math.sqrt(2 * Math.PI)
}

const INPUT = [-3, -1, -0.2, 0, 0.3, 1, 2.5]

describe('Layers.activation', () => {
  it('knows no activation without a formula here', () => {
    assert.deepEqual([...ACTIVATION_NAMES].sort(), Object.keys(FORMULAS).sort())
  })

  for (const [name, formula] of Object.entries(FORMULAS)) {
    it(`computes ${name}`, async () => {
      const g = new Graph('test')
      const layers = new Layers(g, { device: 'cpu', dtype: 'float32' })
      g.output('y', layers.activation(g.input('x', 'float32', ['n']), name, 'act'))
      const session = await ort.InferenceSession.create(encodeModel(g, new Map()))
      const { y } = await session.run({ x: new ort.Tensor('float32', INPUT, [INPUT.length]) })
      for (const [i, x] of INPUT.entries()) {
        assert.ok(Math.abs(Number(y!.data[i]) - formula(x)) < 1e-6, `at ${x}: ${y!.data[i]} for ${formula(x)}`)
      }
    })
  }

  it('refuses others by name', () => {
    const g = new Graph('test')
    const layers = new Layers(g, { device: 'cpu', dtype: 'float32' })
    const x = g.input('x', 'float32', [1])
    assert.throws(() => layers.activation(x, 'relu6', 'act'), { code: 'GRAPH_UNSUPPORTED', message: /relu6.*silu/ })
  })
})
