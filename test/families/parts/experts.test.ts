import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ModelConfig, parseConfig } from '../../../src/checkpoint/config/config.ts'
import { buildBlockGraph, cacheShape } from '../../../src/families/graphs/graphs.ts'
import { familyOf } from '../../../src/families/models/index.ts'
import { loraModules } from '../../../src/graph/lora.ts'
import { CPU } from '../support.ts'

const MINIMAL = {
  num_hidden_layers: 3,
  hidden_size: 64,
  intermediate_size: 96,
  vocab_size: 128,
  num_attention_heads: 4,
}

function configOf(modelType: string, fields: object = {}): ModelConfig {
  return parseConfig({ model_type: modelType, ...MINIMAL, ...fields }, 'config.json')
}

const float8 = (modules: readonly string[]) => ({
  num_key_value_heads: 2,
  quantization_config: { quant_method: 'fp8', weight_block_size: [32, 32], modules_to_not_convert: modules },
})

describe('options of families with experts that would change the results', () => {
  const refused: [string, object, string, RegExp][] = [
    ['gpt_oss', { num_key_value_heads: 2, swiglu_limit: 5 }, 'FAMILY_UNSUPPORTED', /swiglu_limit 5 .*only 7/],
    [
      'gpt_oss',
      { num_key_value_heads: 2, num_local_experts: 2 },
      'FAMILY_UNSUPPORTED',
      /num_experts_per_tok 4 .*2 experts/,
    ],
    ['gpt_oss', { num_key_value_heads: 2, sliding_window: null }, 'CHECKPOINT_CONFIG', /sliding_window must be given/],
    ['deepseek_v3', { num_key_value_heads: 2 }, 'FAMILY_UNSUPPORTED', /num_key_value_heads 2 .*4 heads/],
    ['deepseek_v3', { rope_parameters: { partial_rotary_factor: 0.5 } }, 'FAMILY_UNSUPPORTED', /partial_rotary_factor/],
    ['deepseek_v3', { n_group: 7 }, 'FAMILY_UNSUPPORTED', /n_group 7 .*divide the 256 experts/],
    ['deepseek_v3', { n_group: 256 }, 'FAMILY_UNSUPPORTED', /n_group 256 .*groups of at least 2/],
    ['deepseek_v3', { topk_group: 9 }, 'FAMILY_UNSUPPORTED', /topk_group 9 .*8 groups/],
    [
      'deepseek_v3',
      { n_routed_experts: 16, topk_group: 2 },
      'FAMILY_UNSUPPORTED',
      /num_experts_per_tok 8 .*chosen groups have 4 experts/,
    ],
    ['deepseek_v3', { topk_method: 'greedy' }, 'FAMILY_UNSUPPORTED', /topk_method "greedy" .*only noaux_tc/],
    ['deepseek_v3', { scoring_func: 'softmax' }, 'FAMILY_UNSUPPORTED', /scoring_func "softmax" .*only sigmoid/],
    ['deepseek_v3', { moe_layer_freq: 2 }, 'FAMILY_UNSUPPORTED', /moe_layer_freq 2 .*only 1/],
    ['deepseek_v3', { qk_rope_head_dim: 7 }, 'CHECKPOINT_CONFIG', /even number of the 7 channels/],
    ['deepseek_v3', { qk_rope_head_dim: 'wide' }, 'CHECKPOINT_CONFIG', /qk_rope_head_dim must be an integer/],
    ['deepseek_v3', { kv_lora_rank: 0 }, 'CHECKPOINT_CONFIG', /kv_lora_rank must be an integer/],
    ['deepseek_v3', { hidden_act: 'gelu' }, 'FAMILY_UNSUPPORTED', /hidden_act gelu/],
    ['deepseek_v2', { num_experts_per_tok: 6, topk_method: 'noaux_tc' }, 'FAMILY_UNSUPPORTED', /topk_method noaux_tc/],
    ['deepseek_v2', {}, 'CHECKPOINT_CONFIG', /num_experts_per_tok must be an integer/],
    ['glm4_moe', { num_key_value_heads: 2, n_group: 3 }, 'FAMILY_UNSUPPORTED', /n_group 3/],
    ['olmoe', { head_dim: 32 }, 'FAMILY_UNSUPPORTED', /head_dim 32 .*hidden_size \(64\)/],
    ['olmoe', { clip_qkv: -1 }, 'CHECKPOINT_CONFIG', /clip_qkv must be a number above 0/],
    ['qwen2_moe', { num_key_value_heads: 2, num_experts_per_tok: 61 }, 'FAMILY_UNSUPPORTED', /num_experts_per_tok 61/],
  ]
  for (const [type, fields, code, message] of refused) {
    it(`are refused by name: ${type} ${JSON.stringify(fields)}`, () => {
      assert.throws(() => familyOf(configOf(type, { first_k_dense_replace: 0, ...fields })), { code, message })
    })
  }

  it('are no matter where no layer has experts', () => {
    familyOf(configOf('deepseek_v3', { first_k_dense_replace: 3, n_group: 7 }))
  })
})

describe('gpt_oss without rotary settings', () => {
  it('has those of its class in transformers', () => {
    const [rope] = configOf('gpt_oss', { num_key_value_heads: 2 }).ropes
    assert.deepEqual(rope, {
      type: 'yarn',
      theta: 150_000,
      rotaryDim: 64,
      factor: 32,
      betaFast: 32,
      betaSlow: 1,
      originalMaxPositions: 4096,
      attentionFactor: 0.1 * Math.log(32) + 1,
      truncate: false,
    })
  })
})

describe('latent attention', () => {
  const config = configOf('deepseek_v3', {
    kv_lora_rank: 32,
    qk_rope_head_dim: 16,
    qk_nope_head_dim: 24,
    v_head_dim: 20,
  })

  it('caches one head for all: the latent and the rotated channels', () => {
    assert.deepEqual(cacheShape(config, CPU), { kvHeads: 1, headDim: 48 })
  })

  it('leaves the matrix that heads take apart out of reach of adapters and of rounding', () => {
    const graph = buildBlockGraph(config, { ...CPU, adapters: true, quant: 'int8' }, 0)
    const modules = new Set(loraModules(graph).map(({ name }) => name))
    assert.ok(modules.has('self_attn.kv_a_proj_with_mqa') && modules.has('self_attn.q_b_proj'))
    assert.ok(!modules.has('self_attn.kv_b_proj'))
    const absorbed = graph.parameters.filter(({ name }) => name.startsWith('self_attn.absorbed'))
    assert.deepEqual(
      absorbed.map(({ dtype, shape }) => [dtype, shape]),
      [
        ['float32', [4, 24, 32]],
        ['float32', [4, 32, 20]],
      ],
    )
  })

  it('is refused for checkpoints that store its matrices as integers', () => {
    const stored = configOf('deepseek_v3', {
      quantization_config: { quant_method: 'awq', bits: 4, group_size: 32, zero_point: true },
    })
    assert.throws(() => buildBlockGraph(stored, CPU, 0), {
      code: 'GRAPH_UNSUPPORTED',
      message: /quantized checkpoint/,
    })
  })
})

describe('experts in float8', () => {
  it('may stand beside routers and norms that are listed as not converted', () => {
    const listed = [
      'lm_head',
      'model.layers.0.mlp.gate',
      'model.layers.0.input_layernorm',
      'model.layers.0.self_attn.q_norm',
    ]
    const { parameters } = buildBlockGraph(configOf('qwen3_moe', float8(listed)), CPU, 0)
    const kinds = new Map(parameters.map(({ name, source }) => [name, source.kind]))
    assert.equal(kinds.get('mlp.gate.weight'), 'stored')
    assert.equal(kinds.get('self_attn.q_proj.weight'), 'widened')
    const gateUp = parameters.find(({ name }) => name === 'mlp.gate.experts.gate_up')!
    assert.ok(gateUp.source.kind === 'assembled' && gateUp.source.quant?.method === 'fp8')
  })
})

describe('experts in MXFP4', () => {
  const microscaled = { num_key_value_heads: 2, quantization_config: { quant_method: 'mxfp4' } }

  it('are kept in 8 bits, whatever becomes of linear layers', () => {
    const config = configOf('gpt_oss', microscaled)
    for (const quant of ['none', 'nf4', 'int4'] as const) {
      const { parameters, nodes } = buildBlockGraph(config, { ...CPU, quant }, 0)
      const codes = parameters.filter(({ source }) => source.kind === 'microscaled' && source.part === 'codes')
      assert.deepEqual(
        codes.map(({ dtype, shape }) => [dtype, shape.slice(1)]),
        [
          ['uint8', [192, 64]],
          ['uint8', [64, 96]],
        ],
      )
      assert.equal(nodes.filter(({ op }) => op === 'QMoE').length, 1)
    }
  })

  it('are refused where no kernel reads them', () => {
    const config = configOf('gpt_oss', microscaled)
    assert.throws(() => buildBlockGraph(config, { device: 'cuda', dtype: 'float16' }, 0), {
      code: 'GRAPH_UNSUPPORTED',
      message: /mxfp4 on cuda/,
    })
    const narrow = configOf('gpt_oss', { ...microscaled, hidden_size: 32 })
    assert.throws(() => buildBlockGraph(narrow, CPU, 0), {
      code: 'GRAPH_UNSUPPORTED',
      message: /hidden size 32 and intermediate size 96/,
    })
    const odd = configOf('gpt_oss', { ...microscaled, intermediate_size: 40 })
    assert.throws(() => buildBlockGraph(odd, CPU, 0), { code: 'GRAPH_UNSUPPORTED', message: /intermediate size 40/ })
  })
})
