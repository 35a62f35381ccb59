import { bloom } from './bloom.ts'
import { cohere } from './cohere.ts'
import { cohere2 } from './cohere2.ts'
import { ernie4_5 } from './ernie4-5.ts'
import { exaone4 } from './exaone4.ts'
import { deepseekV2 } from './deepseek-v2.ts'
import { deepseekV3 } from './deepseek-v3.ts'
import { falcon } from './falcon.ts'
import { gemma } from './gemma.ts'
import { gemma2 } from './gemma2.ts'
import { gemma3Text } from './gemma3-text.ts'
import { glm } from './glm.ts'
import { glm4 } from './glm4.ts'
import { gptNeox } from './gpt-neox.ts'
import { gptj } from './gptj.ts'
import { granite } from './granite.ts'
import { llama } from './llama.ts'
import { mistral } from './mistral.ts'
import { mixtral } from './mixtral.ts'
import { nemotron } from './nemotron.ts'
import { olmo2 } from './olmo2.ts'
import { olmo3 } from './olmo3.ts'
import { phi } from './phi.ts'
import { phi3 } from './phi3.ts'
import { qwen2 } from './qwen2.ts'
import { glm4Moe } from './glm4-moe.ts'
import { gptOss } from './gpt-oss.ts'
import { olmoe } from './olmoe.ts'
import { qwen2Moe } from './qwen2-moe.ts'
import { qwen3 } from './qwen3.ts'
import { qwen3Moe } from './qwen3-moe.ts'
import type { ModelTypeRow } from './row.ts'
import { seedOss } from './seed-oss.ts'
import { smollm3 } from './smollm3.ts'
import { stablelm } from './stablelm.ts'
import { starcoder2 } from './starcoder2.ts'

export { HEAD } from './row.ts'

/** One row per `model_type` whose config is understood; `src/families/` has a family for each. */
const MODEL_TYPES = {
  bloom,
  cohere,
  cohere2,
  ernie4_5,
  exaone4,
  deepseek_v2: deepseekV2,
  deepseek_v3: deepseekV3,
  falcon,
  gemma,
  gemma2,
  gemma3_text: gemma3Text,
  glm,
  glm4,
  gpt_neox: gptNeox,
  gptj,
  granite,
  llama,
  mistral,
  mixtral,
  nemotron,
  olmo2,
  olmo3,
  phi,
  glm4_moe: glm4Moe,
  gpt_oss: gptOss,
  olmoe,
  phi3,
  qwen2,
  qwen2_moe: qwen2Moe,
  qwen3,
  qwen3_moe: qwen3Moe,
  seed_oss: seedOss,
  smollm3,
  stablelm,
  starcoder2,
} satisfies Record<string, ModelTypeRow>

/** A `model_type` that is supported. */
export type ModelType = keyof typeof MODEL_TYPES

export const MODEL_TYPE_NAMES: readonly string[] = Object.keys(MODEL_TYPES)

/** Whether a `model_type` is one that is supported. */
export function isModelType(name: string): name is ModelType {
  return Object.hasOwn(MODEL_TYPES, name)
}

/** How the config.json of a model type is read. */
export function modelTypeRow(type: ModelType): ModelTypeRow {
  return MODEL_TYPES[type]
}
