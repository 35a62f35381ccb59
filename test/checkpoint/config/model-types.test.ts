import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseConfig } from '../../../src/checkpoint/config/config.ts'
import type { LayerConfig } from '../../../src/checkpoint/config/layer-config.ts'
import { HEAD, modelTypeRow } from '../../../src/checkpoint/config/model-types/index.ts'
import { bareName, findTensor } from '../../../src/checkpoint/weights/names.ts'
import type { TensorSlice } from '../../../src/checkpoint/weights/safetensors.ts'
import { familyOf } from '../../../src/families/models/index.ts'

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
    ['starcoder2 too', 'starcoder2', { sliding_window: 5 }, [5, 5, 5, 5]],
    ['olmo3 has one on all but each fourth', 'olmo3', { sliding_window: 6 }, [6, 6, 6, null]],
    ['cohere2 too, or each so many as it says', 'cohere2', { sliding_window_pattern: 2 }, [4096, null, 4096, null]],
    [
      'smollm3 has one where it does not rotate, if told',
      'smollm3',
      { use_sliding_window: true, sliding_window: 6 },
      [null, null, null, 6],
    ],
    ['and none unless told', 'smollm3', { sliding_window: 6 }, [null, null, null, null]],
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

  const rotated: [string, string, object, (number | null)[]][] = [
    ['smollm3 rotates all but each fourth', 'smollm3', {}, [0, 0, 0, null]],
    ['or each so many as it says', 'smollm3', { no_rope_layer_interval: 2 }, [0, null, 0, null]],
    ['or as listed', 'smollm3', { no_rope_layers: [0, 1, 1, 0] }, [null, 0, 0, null]],
    ['cohere2 rotates windowed layers', 'cohere2', {}, [0, 0, 0, null]],
    ['olmo3 rotates windowed layers differently', 'olmo3', {}, [1, 1, 1, 0]],
    ['exaone4 rotates windowed layers', 'exaone4', {}, [0, 0, 0, null]],
    ['or all, if there is no window', 'exaone4', { sliding_window: null }, [0, 0, 0, 0]],
  ]
  for (const [what, type, fields, expected] of rotated) {
    it(what, () => {
      const { layers } = config(type, fields)
      assert.deepEqual(
        layers.map(({ rope }) => rope ?? null),
        expected,
      )
    })
  }

  const refused: [string, string, object, RegExp][] = [
    [
      'rotary embeddings of too few layers',
      'smollm3',
      { no_rope_layers: [1, 0] },
      /no_rope_layers must have an entry for each of the 4 layers/,
    ],
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

describe('the rotated part of heads', () => {
  it('is what the family has where nothing is said', () => {
    assert.deepEqual(
      ['phi', 'stablelm', 'gpt_neox'].map((type) => config(type).ropes[0]!.rotaryDim),
      [4, 2, 2],
    )
    assert.equal(config('glm').ropes[0]!.rotaryDim, 64)
    assert.equal(config('phi', { partial_rotary_factor: 1 }).ropes[0]!.rotaryDim, 8)
  })

  it('has names of its own in gpt_neox, which count where rope_parameters say nothing', () => {
    const old = config('gpt_neox', { rotary_pct: 0.5, rotary_emb_base: 500, rope_theta: 7, partial_rotary_factor: 1 })
    assert.deepEqual(old.ropes, [{ type: 'default', theta: 500, rotaryDim: 4 }])
    const current = config('gpt_neox', {
      rope_parameters: { rope_theta: 9, partial_rotary_factor: 1 },
      rotary_pct: 0.5,
    })
    assert.deepEqual(current.ropes, [{ type: 'default', theta: 9, rotaryDim: 8 }])
  })
})

describe('gptj', () => {
  it('says how many channels are rotated, which are even and no more than a head has', () => {
    assert.equal(config('gptj', { rotary_dim: 6 }).ropes[0]!.rotaryDim, 6)
    for (const rotaryDim of [3, 10, null])
      assert.throws(() => config('gptj', { rotary_dim: rotaryDim }), { message: /rotary_dim must be an/ })
    // The default is wider than these heads.
    assert.throws(() => config('gptj'), { message: /rotary_dim must be an even number of the 8 channels/ })
  })

  it('calls its activation function by another name', () => {
    assert.throws(() => familyOf(config('gptj', { rotary_dim: 4, activation_function: 'relu6' })), {
      code: 'FAMILY_UNSUPPORTED',
      message: /activation_function relu6/,
    })
  })
})

describe('olmo3 of transformers 4', () => {
  it('has one base for all layers, and scales those with full attention', () => {
    const scaling = { rope_type: 'linear', factor: 4 }
    assert.deepEqual(config('olmo3', { rope_theta: 700, rope_scaling: scaling }).ropes, [
      { type: 'linear', theta: 700, rotaryDim: 8, factor: 4 },
      { type: 'default', theta: 700, rotaryDim: 8 },
    ])
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
    for (const type of ['gemma', 'gemma2', 'gemma3_text']) {
      assert.throws(() => familyOf(config(type, { use_bidirectional_attention: true })), {
        code: 'FAMILY_UNSUPPORTED',
        message: /use_bidirectional_attention/,
      })
    }
    for (const type of ['gemma2', 'gemma3_text']) {
      assert.throws(() => familyOf(config(type, { hidden_activation: 'relu6' })), {
        code: 'FAMILY_UNSUPPORTED',
        message: /hidden_activation relu6/,
      })
    }
    for (const [type, fields] of [
      ['stablelm', {}],
      ['gpt_neox', {}],
      ['phi', { qk_layernorm: true }],
    ] as const) {
      assert.throws(() => familyOf(config(type, { ...fields, head_dim: 16 })), {
        code: 'FAMILY_UNSUPPORTED',
        message: /head_dim 16 .*hidden_size \(64\)/,
      })
    }
    for (const [type, field, value] of [
      ['gemma2', 'query_pre_attn_scalar', 0],
      ['granite', 'residual_multiplier', 'much'],
      ['granite', 'attention_multiplier', -1],
      ['cohere', 'logit_scale', 0],
      ['cohere', 'use_qk_norm', 1],
      ['stablelm', 'qk_layernorm', 'no'],
      ['starcoder2', 'use_bias', 0],
      ['gpt_neox', 'use_parallel_residual', 1],
    ] as const) {
      assert.throws(() => familyOf(config(type, { [field]: value })), {
        code: 'CHECKPOINT_CONFIG',
        message: new RegExp(field),
      })
    }
  })
})

describe('names of tensors', () => {
  it('are the same in the table of model types and in the families', () => {
    for (const type of ['llama', 'gpt_neox', 'gptj', 'phi', 'cohere2', 'falcon'] as const) {
      const untied = { ...config(type, { rotary_dim: 4 }), tiedEmbeddings: false }
      const names = familyOf(untied).names(untied)
      const { embedding, finalNorm, head = HEAD } = modelTypeRow(type)
      assert.deepEqual([names.embedding, names.finalNorm, names.head].map(bareName), [embedding, finalNorm, head], type)
    }
  })

  it('are found with whatever classes around the model put before them', () => {
    for (const stored of [
      'model.layers.0.a',
      'layers.0.a',
      'language_model.model.layers.0.a',
      'model.language_model.layers.0.a',
      'transformer.layers.0.a',
      'gpt_neox.layers.0.a',
    ]) {
      assert.equal(bareName(stored), 'layers.0.a')
      const slice = { name: stored } as TensorSlice
      assert.equal(findTensor(new Map([[stored, slice]]), 'model.layers.0.a'), slice)
    }
    assert.equal(bareName('lm_head.weight'), 'lm_head.weight')
    assert.equal(findTensor(new Map([['model.b', { name: 'model.b' } as TensorSlice]]), 'model.a'), undefined)
  })
})
