import type { JsonObject } from '../files/json.ts'

/** What transformers fills in for sizes that the `text_config` of a multimodal model leaves out. */
const SIZES: Readonly<Record<string, JsonObject>> = {
  exaone4: sizes(4096, 32, 16_384, 102_400, 32),
  gemma2: sizes(2304, 26, 9216, 256_000, 8),
  gemma3_text: sizes(2304, 26, 9216, 262_208, 8),
  llama: sizes(4096, 32, 11_008, 32_000, 32),
  mistral: sizes(4096, 32, 14_336, 32_000, 32),
  mixtral: sizes(4096, 32, 14_336, 32_000, 32),
  phi3: sizes(3072, 32, 8192, 32_064, 32),
  qwen2: sizes(4096, 32, 22_016, 151_936, 32),
  qwen2_vl_text: qwen2Vl(),
  qwen2_5_vl_text: qwen2Vl(),
  qwen3: sizes(4096, 32, 22_016, 151_936, 32),
  qwen3_moe: sizes(2048, 24, 6144, 151_936, 32),
  qwen3_vl_text: {
    ...sizes(4096, 32, 22_016, 151_936, 32),
    max_position_embeddings: 128_000,
    rope_theta: 500_000,
  },
  qwen3_vl_moe_text: {
    ...sizes(2048, 24, 5632, 151_936, 16),
    num_key_value_heads: 16,
    head_dim: 128,
    max_position_embeddings: 128_000,
    rope_theta: 500_000,
    // The later of the field's two names, so that either one replaces it.
    num_local_experts: 60,
    num_experts_per_tok: 4,
    moe_intermediate_size: 1408,
  },
}

/** Text models that exist only within multimodal ones: which model type each is, and in which of its forms. */
const TEXT_MODELS: Readonly<Record<string, JsonObject>> = {
  qwen2_vl_text: { model_type: 'qwen2' },
  qwen2_5_vl_text: { model_type: 'qwen2' },
  qwen3_vl_text: { model_type: 'qwen3', use_sliding_window: false },
  qwen3_vl_moe_text: { model_type: 'qwen3_moe', use_sliding_window: false, norm_topk_prob: true },
}

/** The sizes of a text model of this type where its config leaves them out; nothing for other types. */
export function sizesOf(type: string): JsonObject {
  return Object.hasOwn(SIZES, type) ? SIZES[type]! : {}
}

/** The fields that say which model a text model of this type is. */
export function textModelOf(type: string): JsonObject {
  return Object.hasOwn(TEXT_MODELS, type) ? TEXT_MODELS[type]! : { model_type: type }
}

function sizes(hidden: number, blocks: number, intermediate: number, vocab: number, heads: number): JsonObject {
  return {
    hidden_size: hidden,
    num_hidden_layers: blocks,
    intermediate_size: intermediate,
    vocab_size: vocab,
    num_attention_heads: heads,
  }
}

function qwen2Vl(): JsonObject {
  return {
    ...sizes(8192, 80, 29_568, 152_064, 64),
    num_key_value_heads: 8,
    rms_norm_eps: 1e-5,
    rope_theta: 1_000_000,
    max_window_layers: 80,
    bos_token_id: 151_643,
    eos_token_id: 151_645,
  }
}
