import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseConfig } from '../../../src/checkpoint/config/config.ts'
import type { LayerConfig } from '../../../src/checkpoint/config/layer-config.ts'
import { bareName, findTensor } from '../../../src/checkpoint/weights/names.ts'
import type { TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'
import { familyOf } from '../../../src/families/index.ts'

const MINIMAL = {
  num_hidden_layers: 4,
  hidden_size: 64,
  intermediate_size: 96,
  vocab_size: 128,
  num_attention_heads: 8,
  num_key_value_heads: 2,
}

const config = (modelType: string, fields: object = {}) =>
  parseConfig({ model_type: modelType, ...MINIMAL, ...fields }, 'config.json')

const windows = (layers: readonly LayerConfig[]) => layers.map(({ window }) => window ?? null)

describe('the layers of a model', () => {
  const cases: [string, string, object, (number | null)[]][] = [
    ['mistral has a window where nothing is said', 'mistral', {}, [4096, 4096, 4096, 4096]],
    ['and none where null is', 'mistral', { sliding_window: null }, [null, null, null, null]],
    ['qwen2 has none unless told', 'qwen2', { sliding_window: 8 }, [null, null, null, null]],
    [
      'and then from a layer on',
      'qwen2',
      { use_sliding_window: true, sliding_window: 8, max_window_layers: 3 },
      [null, null, null, 8],
    ],
    ['qwen3 too', 'qwen3', { use_sliding_window: true, sliding_window: 8, max_window_layers: 1 }, [null, 8, 8, 8]],
    [
      'layer_types go before',
      'qwen3',
      {
        use_sliding_window: true,
        sliding_window: 8,
        layer_types: ['sliding_attention', 'full_attention', 'full_attention', 'sliding_attention'],
      },
      [8, null, null, 8],
    ],
    ['phi3 has one where it is given', 'phi3', { sliding_window: 5 }, [5, 5, 5, 5]],
    ['gemma2 has one on every other layer', 'gemma2', { sliding_window: 6 }, [6, null, 6, null]],
    [
      'gemma3 on all but each sixth',
      'gemma3_text',
      { num_hidden_layers: 7, sliding_window: 6 },
      [6, 6, 6, 6, 6, null, 6],
    ],
    ['or each so many as it says', 'gemma3_text', { sliding_window: 6, sliding_window_pattern: 2 }, [6, null, 6, null]],
  ]
  for (const [what, type, fields, expected] of cases)
    it(what, () => assert.deepEqual(windows(config(type, fields).layers), expected))

  const refused: [string, string, object, RegExp][] = [
    [
      'other types',
      'gemma2',
      { layer_types: ['full_attention', 'linear_attention', 'full_attention', 'full_attention'] },
      /layer_types must be a list of 4 texts out of full_attention, sliding_attention/,
    ],
    ['too few types', 'qwen2', { layer_types: ['full_attention'] }, /layer_types must be a list of 4 texts/],
    ['a window of nothing', 'mistral', { sliding_window: 0 }, /sliding_window must be an integer from 1/],
    [
      'windowed layers without a window',
      'gemma2',
      { sliding_window: null },
      /sliding_window must be given where layers attend within a window/,
    ],
  ]
  for (const [what, type, fields, message] of refused) {
    it(`are refused: ${what}`, () => {
      assert.throws(() => config(type, fields), { code: 'CHECKPOINT_CONFIG', message })
    })
  }
})

describe('gemma3 in both dialects', () => {
  const shared = { sliding_window: 4, head_dim: 16, max_position_embeddings: 1024 }
  it('rotates full and windowed layers differently, and does not stretch its positions again', () => {
    const old = config('gemma3_text', {
      ...shared,
      rope_theta: 5e5,
      rope_local_base_freq: 2e4,
      rope_scaling: { rope_type: 'linear', factor: 8 },
      sliding_window_pattern: 2,
    })
    const current = config('gemma3_text', {
      ...shared,
      layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
      rope_parameters: {
        full_attention: { rope_type: 'linear', factor: 8, rope_theta: 5e5 },
        sliding_attention: { rope_type: 'default', rope_theta: 2e4 },
      },
    })
    assert.deepEqual({ ...old, raw: {} }, { ...current, raw: {} })
    assert.deepEqual(
      old.ropes.map(({ type, theta }) => [type, theta]),
      [
        ['linear', 5e5],
        ['default', 2e4],
      ],
    )
    assert.deepEqual(
      old.layers.map(({ rope }) => rope),
      [1, 0, 1, 0],
    )
    assert.equal(old.maxLength, 1024)
  })
})

describe('phi3', () => {
  it('calls longrope "su", and "yarn" in its first checkpoints', () => {
    const factors = { short_factor: [1, 1, 1, 1], long_factor: [2, 2, 2, 2] }
    for (const type of ['su', 'yarn', 'longrope']) {
      const [rope] = config('phi3', {
        rope_scaling: { type, ...factors },
        original_max_position_embeddings: 512,
        max_position_embeddings: 2048,
      }).ropes
      assert.equal(rope!.type, 'longrope')
    }
  })
})

describe('falcon and bloom', () => {
  it('take the names of their first checkpoints', () => {
    const bloom = { n_embed: 64, n_layer: 3, n_head: 8, vocab_size: 128, layer_norm_epsilon: 1e-3 }
    const { hiddenSize, numBlocks, numHeads, intermediateSize, normEps, ropes, layers } = parseConfig(
      { model_type: 'bloom', ...bloom },
      'config.json',
    )
    assert.deepEqual(
      { hiddenSize, numBlocks, numHeads, intermediateSize, normEps },
      { hiddenSize: 64, numBlocks: 3, numHeads: 8, intermediateSize: 256, normEps: 1e-3 },
    )
    assert.deepEqual([ropes, layers], [[], [{}, {}, {}]])
    assert.throws(() => parseConfig({ ...bloom, model_type: 'bloom', n_head: 0 }, 'config.json'), {
      message: /n_head must be an integer/,
    })
  })

  it('have as many heads of keys and values as their shape says', () => {
    assert.deepEqual(
      [
        {},
        { multi_query: false },
        { new_decoder_architecture: true, num_kv_heads: 2 },
        { multi_query: false, num_kv_heads: 2 },
      ].map((fields) => config('falcon', fields).numKvHeads),
      [1, 8, 2, 8],
    )
  })

  it('refuse what transformers itself cannot run', () => {
    for (const fields of [
      { new_decoder_architecture: true, parallel_attn: false },
      { num_ln_in_parallel_attn: 2 },
      { new_decoder_architecture: true, num_ln_in_parallel_attn: 3 },
    ]) {
      assert.throws(() => familyOf(config('falcon', fields)), { code: 'FAMILY_UNSUPPORTED' }, JSON.stringify(fields))
    }
    assert.throws(() => familyOf(config('bloom', { n_inner: 100 })), { code: 'FAMILY_UNSUPPORTED', message: /n_inner/ })
  })
})

describe('options that would change the results', () => {
  it('are refused by name', () => {
    for (const type of ['gemma2', 'gemma3_text']) {
      assert.throws(() => familyOf(config(type, { use_bidirectional_attention: true })), {
        code: 'FAMILY_UNSUPPORTED',
        message: /use_bidirectional_attention/,
      })
      assert.throws(() => familyOf(config(type, { hidden_activation: 'relu6' })), {
        code: 'FAMILY_UNSUPPORTED',
        message: /hidden_activation relu6/,
      })
    }
    assert.throws(() => familyOf(config('gemma2', { query_pre_attn_scalar: 0 })), {
      code: 'CHECKPOINT_CONFIG',
      message: /query_pre_attn_scalar/,
    })
  })
})

describe('names of tensors', () => {
  it('are found with whatever classes around the model put before them', () => {
    for (const stored of [
      'model.layers.0.a',
      'layers.0.a',
      'language_model.model.layers.0.a',
      'model.language_model.layers.0.a',
      'transformer.layers.0.a',
    ]) {
      assert.equal(bareName(stored), 'layers.0.a')
      const slice = { name: stored } as TensorSlice
      assert.equal(findTensor(new Map([[stored, slice]]), 'model.layers.0.a'), slice)
    }
    assert.equal(bareName('lm_head.weight'), 'lm_head.weight')
    assert.equal(findTensor(new Map([['model.b', { name: 'model.b' } as TensorSlice]]), 'model.a'), undefined)
  })
})
