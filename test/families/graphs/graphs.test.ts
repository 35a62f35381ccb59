import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ModelConfig, parseConfig } from '../../../src/checkpoint/config/config.ts'
import { buildBlockGraph, buildEmbedGraph, buildHeadGraph, cacheShape } from '../../../src/families/graphs/graphs.ts'
import { familyOf } from '../../../src/families/models/index.ts'
import type { Graph } from '../../../src/graph/builder.ts'
import type { Target } from '../../../src/graph/lowering.ts'
import { describe as describeValue } from '../../../src/graph/value.ts'
import { blockWeights, CPU, loadFixture, type Tensors } from '../support.ts'

describe('the graphs of a model', () => {
  it('take and give what the engine binds, with position ids only where rotation is outside of attention', () => {
    const graph = buildBlockGraph(configOf({}), CPU, 0)
    assert.deepEqual(
      graph.inputs.map((input) => `${input.name}: ${describeValue(input)}`),
      [
        'hidden: float32 [rows, tokens, 64]',
        'seqlens_k: int32 [rows]',
        'cos: float32 [positions, 8]',
        'sin: float32 [positions, 8]',
        'past_key: float32 [rows, 2, capacity, 16]',
        'past_value: float32 [rows, 2, capacity, 16]',
        'total_sequence_length: int32 [1]',
      ],
    )
    assert.deepEqual(
      graph.outputs.map(({ name, value }) => `${name}: ${describeValue(value)}`),
      [
        'output: float32 [rows, tokens, 64]',
        'present_key: float32 [rows, 2, capacity, 16]',
        'present_value: float32 [rows, 2, capacity, 16]',
      ],
    )
    const outside = buildBlockGraph(configOf({ head_dim: 20 }), CPU, 0)
    assert.equal(describeValue(outside.inputs.find(({ name }) => name === 'position_ids')!), 'int64 [rows, tokens]')
    assert.deepEqual(cacheShape(configOf({ head_dim: 20 }), CPU), { kvHeads: 2, headDim: 24 })
  })

  for (const fixture of ['llama', 'llama3-rope', 'llama-biases']) {
    it(`use every tensor of the checkpoint ${fixture}, and no other`, async () => {
      const { config, weights } = await loadFixture(fixture)
      const names = familyOf(config).names(config)
      assert.equal(names.blockPrefix(2), 'model.layers.2.')
      assert.deepEqual(wanted(buildBlockGraph(config, CPU, 0)).sort(), stored(blockWeights(weights, 0)))

      const rest = new Map([...weights].filter(([name]) => !name.startsWith('model.layers.')))
      const ends = new Set([...wanted(buildEmbedGraph(config, CPU)), ...wanted(buildHeadGraph(config, CPU))])
      assert.deepEqual([...ends].sort(), stored(rest))
      assert.ok([names.embedding, names.finalNorm, names.head].every((name) => rest.has(name)))
    })
  }

  it('give each row inputs of its own where it has a cache of its own', () => {
    const graph = buildBlockGraph(configOf({}), { device: 'webgpu', dtype: 'float32', ownRows: 2, prompted: true }, 0)
    const inputs = graph.inputs.map((input) => `${input.name}: ${describeValue(input)}`)
    assert.deepEqual(inputs, [
      'hidden: float32 [2, 1, 64]',
      'seqlens_k: int32 [2]',
      'cos: float32 [positions, 8]',
      'sin: float32 [positions, 8]',
      ...[0, 1].flatMap((row) => [
        `past_key.${row}: float32 [1, 2, capacity.${row}, 16]`,
        `past_value.${row}: float32 [1, 2, capacity.${row}, 16]`,
        `total_sequence_length.${row}: int32 [1]`,
      ]),
      'prompts: float32 [2, 1, 64]',
    ])
    assert.equal(graph.nodes.filter(({ op }) => op === 'GroupQueryAttention').length, 2)
    assert.equal(graph.nodes.filter(({ op }) => op === 'MatMul').length, 7)
  })

  it('put matrices outside of the model, packed where they are multiplied, and vectors inside', () => {
    const graph = buildBlockGraph(configOf({ attention_bias: true }), CPU, 0)
    for (const { shape, placement, prepacked } of [
      ...graph.parameters,
      ...buildHeadGraph(configOf({}), CPU).parameters,
    ]) {
      assert.deepEqual([placement, prepacked], shape.length === 2 ? ['external', true] : ['inline', false])
    }
    assert.deepEqual(
      buildEmbedGraph(configOf({}), CPU).parameters.map(({ placement, prepacked }) => [placement, prepacked]),
      [['external', false]],
    )
  })

  it('name every node after what it is', () => {
    const names = buildBlockGraph(configOf({}), CPU, 0).nodes.map((node) => node.name)
    assert.equal(new Set(names).size, names.length)
    for (const name of ['input_layernorm', 'self_attn.q_proj', 'self_attn.attention', 'mlp.down_proj'])
      assert.ok(names.includes(name), name)
  })

  it('give float32 logits and pad heads through a dtype that Pad has, in bfloat16 on CUDA', () => {
    const target: Target = { device: 'cuda', dtype: 'bfloat16' }
    const config = configOf({ head_dim: 20 })
    assert.equal(buildHeadGraph(config, target).outputs[0]!.value.dtype, 'float32')
    const pads = buildBlockGraph(config, target, 0).nodes.filter(({ op }) => op === 'Pad')
    assert.deepEqual(
      pads.map(({ inputs }) => inputs[0]!.dtype),
      ['float32', 'float32', 'float32'],
    )
    assert.equal(buildBlockGraph(config, target, 0).outputs[0]!.value.dtype, 'bfloat16')
  })
})

describe('familyOf', () => {
  it('refuses unknown model types, naming the known ones', () => {
    const config = { ...configOf({}), modelType: 'mamba' } as unknown as ModelConfig
    assert.throws(() => familyOf(config), { code: 'FAMILY_UNKNOWN', message: /model_type mamba.*llama/ })
  })

  it('refuses unsupported options by name before anything is loaded', () => {
    assert.throws(() => buildBlockGraph(configOf({ hidden_act: 'relu6' }), CPU, 0), {
      code: 'FAMILY_UNSUPPORTED',
      message: /hidden_act relu6.*silu/,
    })
  })

  it('lets checkpoints hold what no graph uses', () => {
    assert.equal(ignored('model.layers.0.self_attn.rotary_emb.inv_freq', {}), true)
    assert.equal(ignored('lm_head.weight', {}), false)
    assert.equal(ignored('lm_head.weight', { tie_word_embeddings: true }), true)
  })
})

function stored(tensors: Tensors): string[] {
  return [...tensors].map(([name, { shape }]) => `${name} ${shape}`).sort()
}

function wanted({ parameters }: Graph): string[] {
  return parameters.map(({ name, shape }) => `${name} ${shape}`)
}

function ignored(name: string, options: object): boolean {
  const config = configOf(options)
  return familyOf(config)
    .names(config)
    .ignored.some((pattern) => pattern.test(name))
}

function configOf(options: object): ModelConfig {
  return parseConfig(
    {
      model_type: 'llama',
      hidden_size: 64,
      intermediate_size: 96,
      vocab_size: 128,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      ...options,
    },
    'config.json',
  )
}
