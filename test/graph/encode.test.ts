import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import ort from 'onnxruntime-node'
import { Graph } from '../../src/graph/builder.ts'
import { encodeModel } from '../../src/graph/encode.ts'
import { ModelProto } from '../../src/graph/onnx-schema.ts'
import { add, gelu, matMulTransposed, reshape } from '../../src/graph/ops.ts'
import { fromFloat32, type Tensor } from '../../src/tensor/tensor.ts'

describe('encodeModel', () => {
  it('writes a model that the runtime runs, under the names of its inputs and outputs', async () => {
    const session = await ort.InferenceSession.create(encodeModel(linear('inline'), tensors()))
    const { y } = await session.run({ x: new ort.Tensor('float32', [1, 2, 3, 4], [2, 2]) })
    assert.deepEqual(
      [y!.dims, [...(y!.data as Float32Array)]],
      [
        [2, 3, 1],
        [1 + 10, 2 + 20, 3 + 30, 3 + 10, 4 + 20, 7 + 30],
      ],
    )
  })

  it('writes stubs for external parameters and bytes for inline ones', () => {
    const model = ModelProto.toObject(ModelProto.decode(encodeModel(linear('external'), tensors())), { longs: Number })
    assert.equal(model['ir_version'], 10)
    assert.deepEqual(model['opset_import'], [
      { domain: '', version: 21 },
      { domain: 'com.microsoft', version: 1 },
    ])
    const initializers = model['graph'].initializer as { name: string }[]
    assert.deepEqual(
      initializers.find(({ name }) => name === 'weight'),
      {
        name: 'weight',
        dims: [3, 2],
        data_type: 1,
        data_location: 1,
        external_data: [{ key: 'location', value: '.' }],
      },
    )
    assert.deepEqual(
      initializers.find(({ name }) => name === 'bias'),
      { name: 'bias', dims: [3], data_type: 1, raw_data: Buffer.from(Float32Array.of(10, 20, 30).buffer) },
    )
  })

  it('writes attributes of every type', () => {
    const g = new Graph('test')
    g.output('y', gelu(g, g.input('x', 'float32', ['rows', 4]), 'tanh', 'act'))
    const model = ModelProto.toObject(ModelProto.decode(encodeModel(g, new Map())), { longs: Number, bytes: String })
    assert.deepEqual(model['graph'].node[0].attribute, [
      { name: 'approximate', type: 3, s: Buffer.from('tanh').toString('base64') },
    ])
    assert.deepEqual(model['graph'].input[0].type.tensor_type.shape.dim, [{ dim_param: 'rows' }, { dim_value: 4 }])
  })

  it('refuses inline parameters that are missing or of another shape, naming them', () => {
    const without = new Map([...tensors()].filter(([name]) => name !== 'bias'))
    assert.throws(() => encodeModel(linear('external'), without), {
      code: 'GRAPH_PARAMETER',
      message: /bias.*float32 \[3\].*none/,
    })
    const wrong = tensors().set('bias', fromFloat32(Float32Array.of(1, 2), [2]))
    assert.throws(() => encodeModel(linear('external'), wrong), {
      code: 'GRAPH_PARAMETER',
      message: /bias.*\[3\].*\[2\]/,
    })
  })
})

/** y = x weight^T + bias, as [rows, 3, 1] */
function linear(placement: 'inline' | 'external'): Graph {
  const g = new Graph('test')
  const x = g.input('x', 'float32', ['rows', 2])
  const source = { kind: 'stored' } as const
  const weight = g.parameter({ name: 'weight', dtype: 'float32', shape: [3, 2], placement, prepacked: true, source })
  const bias = g.parameter({
    name: 'bias',
    dtype: 'float32',
    shape: [3],
    placement: 'inline',
    prepacked: false,
    source,
  })
  const sum = add(g, matMulTransposed(g, x, weight, 'proj'), bias)
  g.output('y', reshape(g, sum, ['rows', 3, 1]))
  return g
}

function tensors(): Map<string, Tensor> {
  return new Map([
    ['weight', fromFloat32(Float32Array.of(1, 0, 0, 1, 1, 1), [3, 2])],
    ['bias', fromFloat32(Float32Array.of(10, 20, 30), [3])],
  ])
}
