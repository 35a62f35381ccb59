import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from '../../../src/checkpoint/config/config.ts'
import { parseGeneration } from '../../../src/checkpoint/config/generation.ts'

const FILE = '/models/a/config.json'

const MINIMAL = {
  model_type: 'llama',
  num_hidden_layers: 2,
  hidden_size: 64,
  intermediate_size: 96,
  vocab_size: 128,
  num_attention_heads: 4,
}

const config = (fields: object) => parseConfig({ ...MINIMAL, ...fields }, FILE)

test('what a llama config leaves out is what transformers fills in', () => {
  const { raw, ...rest } = config({})
  assert.deepEqual(raw, MINIMAL)
  assert.deepEqual(rest, {
    modelType: 'llama',
    numBlocks: 2,
    hiddenSize: 64,
    intermediateSize: 96,
    vocabSize: 128,
    numHeads: 4,
    numKvHeads: 4,
    headDim: 16,
    normEps: 1e-6,
    activation: 'silu',
    maxPositions: 2048,
    maxLength: 2048,
    ropes: [{ type: 'default', theta: 10000, rotaryDim: 16 }],
    layers: [{ rope: 0 }, { rope: 0 }],
    attentionBias: false,
    mlpBias: false,
    tiedEmbeddings: false,
    dtype: 'float32',
  })
})

test('both dialects of one config are the same model', () => {
  const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 }
  const shared = { max_position_embeddings: 131_072, head_dim: 32, num_key_value_heads: 2, rms_norm_eps: 1e-5 }
  const old = config({
    ...shared,
    rope_theta: 500_000,
    rope_scaling: { ...scaling, rope_type: 'llama3' },
    torch_dtype: 'bfloat16',
  })
  const older = config({
    ...shared,
    rope_theta: 500_000,
    rope_scaling: { ...scaling, type: 'llama3' },
    torch_dtype: 'torch.bfloat16',
  })
  const current = config({
    ...shared,
    rope_parameters: { ...scaling, rope_theta: 500_000, rope_type: 'llama3' },
    dtype: 'bfloat16',
  })
  assert.deepEqual({ ...old, raw: {} }, { ...current, raw: {} })
  assert.deepEqual({ ...older, raw: {} }, { ...current, raw: {} })
  assert.deepEqual(current.ropes[0], {
    type: 'llama3',
    theta: 500_000,
    rotaryDim: 32,
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositions: 8192,
  })
})

test('null heads of keys and values are as many as heads, whatever the default is', () => {
  assert.equal(config({ model_type: 'mistral', num_attention_heads: 16, num_key_value_heads: null }).numKvHeads, 16)
  assert.equal(config({ model_type: 'mistral', num_attention_heads: 16 }).numKvHeads, 8)
})

test('a null head_dim is an equal share of the hidden size, whatever the default is', () => {
  const sizes = { model_type: 'seed_oss', hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 4 }
  assert.equal(config({ ...sizes, head_dim: null }).headDim, 16)
  assert.equal(config(sizes).headDim, 128)
})

test('null counts as left out', () => {
  const nothing = {
    head_dim: null,
    num_key_value_heads: null,
    rope_scaling: null,
    rope_parameters: null,
    torch_dtype: null,
  }
  assert.deepEqual({ ...config(nothing), raw: {} }, { ...config({}), raw: {} })
  assert.equal(config({ dtype: 'auto' }).dtype, config({}).dtype)
})

const ROPES: [string, object, object][] = [
  [
    'linear',
    { rope_scaling: { type: 'linear', factor: 2 } },
    { type: 'linear', theta: 10000, rotaryDim: 16, factor: 2 },
  ],
  [
    'dynamic',
    { rope_scaling: { type: 'dynamic', factor: 4.0 }, max_position_embeddings: 512 },
    { type: 'dynamic', theta: 10000, rotaryDim: 16, factor: 4, originalMaxPositions: 512 },
  ],
  [
    'yarn with defaults',
    { rope_parameters: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 512 } },
    {
      type: 'yarn',
      theta: 10000,
      rotaryDim: 16,
      factor: 4,
      betaFast: 32,
      betaSlow: 1,
      originalMaxPositions: 512,
      attentionFactor: 0.1 * Math.log(4) + 1,
      truncate: true,
    },
  ],
  [
    'yarn with everything',
    {
      rope_parameters: {
        rope_type: 'yarn',
        factor: 40,
        original_max_position_embeddings: 512,
        beta_fast: 16,
        beta_slow: 2,
        mscale: 1,
        mscale_all_dim: 0.5,
        truncate: false,
        rope_theta: 5e5,
      },
    },
    {
      type: 'yarn',
      theta: 5e5,
      rotaryDim: 16,
      factor: 40,
      betaFast: 16,
      betaSlow: 2,
      originalMaxPositions: 512,
      attentionFactor: (0.1 * Math.log(40) + 1) / (0.05 * Math.log(40) + 1),
      truncate: false,
    },
  ],
  [
    'yarn with an attention factor',
    { rope_parameters: { rope_type: 'yarn', factor: 4, attention_factor: 1.5 } },
    {
      type: 'yarn',
      theta: 10000,
      rotaryDim: 16,
      factor: 4,
      betaFast: 32,
      betaSlow: 1,
      originalMaxPositions: 2048,
      attentionFactor: 1.5,
      truncate: true,
    },
  ],
  [
    'longrope with its length at top level',
    {
      original_max_position_embeddings: 512,
      head_dim: 8,
      rope_scaling: {
        type: 'longrope',
        short_factor: [1, 1, 1.5, 2],
        long_factor: [2, 3, 4, 5],
      },
    },
    {
      type: 'longrope',
      theta: 10000,
      rotaryDim: 8,
      factor: 4,
      shortFactor: [1, 1, 1.5, 2],
      longFactor: [2, 3, 4, 5],
      attentionFactor: Math.sqrt(1 + Math.log(4) / Math.log(512)),
      originalMaxPositions: 512,
    },
  ],
  ['partial rotation', { partial_rotary_factor: 0.5 }, { type: 'default', theta: 10000, rotaryDim: 8 }],
  [
    'partial rotation in the parameters',
    { rope_parameters: { partial_rotary_factor: 0.25 } },
    { type: 'default', theta: 10000, rotaryDim: 4 },
  ],
]

for (const [what, fields, rope] of ROPES) {
  test(`rotary embeddings: ${what}`, () => assert.deepEqual(config(fields).ropes, [rope]))
}

const REFUSED: [object, RegExp][] = [
  [{ model_type: 'mamba' }, /model_type must be one of .*llama.*"mamba"/],
  [{ model_type: '__proto__' }, /model_type must be one of/],
  [{ model_type: undefined }, /model_type must be a text; it is missing/],
  [{ num_hidden_layers: 0 }, /num_hidden_layers must be an integer from 1 to 10000; it is 0/],
  [{ num_hidden_layers: 1e9 }, /num_hidden_layers/],
  [{ hidden_size: 64.5 }, /hidden_size must be an integer.*64\.5/],
  [{ hidden_size: '64' }, /hidden_size must be an integer.*"64"/],
  [{ hidden_size: undefined }, /hidden_size.*missing/],
  [{ vocab_size: -1 }, /vocab_size/],
  [{ num_key_value_heads: 3 }, /num_key_value_heads must divide num_attention_heads \(4\); it is 3/],
  [{ num_attention_heads: 5 }, /num_attention_heads must divide hidden_size \(64\)/],
  [{ rms_norm_eps: 0 }, /rms_norm_eps must be a number above 0/],
  [{ hidden_act: 7 }, /hidden_act must be a text/],
  [{ attention_bias: 'yes' }, /attention_bias must be true or false; it is "yes"/],
  [{ torch_dtype: 'float64' }, /torch_dtype must be float32, float16 or bfloat16; it is "float64"/],
  [{ dtype: 'int8' }, /: dtype must be float32/],
  [
    { quantization_config: { quant_method: 'bitsandbytes' } },
    /quantization_config.*cannot be loaded without loss \(quant_method "bitsandbytes"\).*--quant/,
  ],
  [{ quantization_config: { quant_method: 'gptq', bits: 3, group_size: 128 } }, /gptq with bits 3/],
  [{ quantization_config: { quant_method: 'gptq', bits: 4, group_size: 100 } }, /a group size of 100/],
  [
    { quantization_config: { quant_method: 'awq', bits: 4, group_size: 128, zero_point: true, version: 'gemv' } },
    /awq of bits 4.*"gemv"/,
  ],
  [{ quantization_config: { quant_method: 'fp8', weight_block_size: [0, 4] } }, /fp8 with weight_block_size \[0,4\]/],
  [{ quantization_config: { quant_method: 'fp8', weight_block_size: 128 } }, /fp8 with weight_block_size 128/],
  [{ quantization_config: { quant_method: 'gptq', bits: 4 } }, /\(no group_size\)/],
  [{ quantization_config: { quant_method: 'gptq', bits: 4, group_size: 32, lm_head: true } }, /packed lm_head/],
  [{ quantization_config: { quant_method: 'awq', ignore: 'lm_head' } }, /a list of texts as ignore, not "lm_head"/],
  [
    { quantization_config: { quant_method: 'awq', modules_to_not_convert: [3] } },
    /as modules_to_not_convert, not \[3\]/,
  ],
  [
    {
      quantization_config: {
        quant_method: 'compressed-tensors',
        format: 'int-quantized',
        config_groups: { a: { targets: ['Linear'], weights: { num_bits: 8, type: 'int' } } },
      },
    },
    /format "int-quantized", 8 bits of type "int", strategy "tensor"/,
  ],
  [{ quantization_config: { quant_method: 'compressed-tensors', config_groups: {} } }, /other groups than one/],
  [{ quantization_config: 4 }, /quantization_config.*must be an object/],
  [{ rope_theta: -5 }, /rope_theta must be a number above 0/],
  [{ rope_scaling: 'linear' }, /rope_scaling must be an object/],
  [
    { rope_scaling: { type: 'mrope' } },
    /rope_scaling: rope_type must be one of default, linear, dynamic, llama3, yarn, longrope; it is "mrope"/,
  ],
  [{ rope_scaling: { type: 'linear' } }, /factor must be a number above 0; it is missing/],
  [{ rope_scaling: { type: 'linear', factor: '2' } }, /factor must be a number/],
  [
    { rope_parameters: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4 } },
    /high_freq_factor must be above low_freq_factor \(4\)/,
  ],
  [
    { rope_parameters: { rope_type: 'longrope', short_factor: [1], long_factor: [1] } },
    /short_factor must be a list of 8 numbers/,
  ],
  [
    { rope_parameters: { rope_type: 'yarn', factor: 2, beta_fast: 1, beta_slow: 2 } },
    /beta_fast must not be below beta_slow/,
  ],
  [{ rope_parameters: { full_attention: { rope_theta: 1e6 } } }, /rope_parameters must be one set of parameters/],
  [{ partial_rotary_factor: 2 }, /partial_rotary_factor must leave an even number of the 16 channels/],
  [{ partial_rotary_factor: 0.1 }, /partial_rotary_factor/],
]

for (const [fields, message] of REFUSED) {
  test(`refused: ${JSON.stringify(fields)}`, () => {
    assert.throws(
      () => config(fields),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'CHECKPOINT_CONFIG')
        assert.match(error.message, message)
        assert.ok(error.message.startsWith(FILE))
        return true
      },
    )
  })
}

test('a config that is not an object is refused', () => {
  for (const json of [null, [], 'llama', 3]) assert.throws(() => parseConfig(json, FILE), { code: 'CHECKPOINT_CONFIG' })
})

const generation = (json: object | undefined, fields: object) =>
  parseGeneration(json as Record<string, unknown> | undefined, '/g.json', config(fields), FILE)

test('generation takes its tokens from generation_config.json, then config.json, then the model type', () => {
  const ids = { eos_token_id: 5, bos_token_id: 4 }
  assert.deepEqual(generation({ eos_token_id: [7, 8], bos_token_id: 6 }, ids), {
    eosTokenIds: [7, 8],
    bosTokenId: 6,
    maxPositions: 2048,
    options: {},
  })
  assert.deepEqual(generation({}, ids), { eosTokenIds: [5], bosTokenId: 4, maxPositions: 2048, options: {} })
  assert.deepEqual(generation(undefined, ids), { eosTokenIds: [5], bosTokenId: 4, maxPositions: 2048, options: {} })
  assert.deepEqual(generation(undefined, {}), { eosTokenIds: [2], bosTokenId: 1, maxPositions: 2048, options: {} })
  assert.deepEqual(generation(undefined, { eos_token_id: null, bos_token_id: null }), {
    eosTokenIds: [],
    bosTokenId: null,
    maxPositions: 2048,
    options: {},
  })
})

test('token ids below 0 are none, and what is no id is a problem', () => {
  assert.deepEqual(generation({ eos_token_id: -1, bos_token_id: -1 }, {}), {
    eosTokenIds: [],
    bosTokenId: null,
    maxPositions: 2048,
    options: {},
  })
  assert.deepEqual(generation({ eos_token_id: [-1, 7] }, {}).eosTokenIds, [7])
  const { problems } = generation({ eos_token_id: [1, '2'] }, { bos_token_id: 'a' })
  assert.deepEqual(
    problems?.map(({ option }) => option),
    ['eosTokenIds', 'eosTokenIds'],
  )
  assert.match(problems[0]!.message, /^\/g\.json: eos_token_id must be a token id.*it is \[1,"2"\]/)
  assert.match(problems[1]!.message, /config\.json: bos_token_id must be a token id.*it is "a"/)
})
