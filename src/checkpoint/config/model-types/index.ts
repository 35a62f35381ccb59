import { bloom } from './bloom.ts'
import { falcon } from './falcon.ts'
import { gemma2 } from './gemma2.ts'
import { gemma3Text } from './gemma3-text.ts'
import { llama } from './llama.ts'
import { mistral } from './mistral.ts'
import { mixtral } from './mixtral.ts'
import { phi3 } from './phi3.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'
import { qwen3Moe } from './qwen3-moe.ts'
import type { ModelTypeRow } from './row.ts'

export { HEAD } from './row.ts'

/** One row per `model_type` whose config is understood; `src/families/` has a family for each. */
const MODEL_TYPES = {
  bloom,
  falcon,
  gemma2,
  gemma3_text: gemma3Text,
  llama,
  mistral,
  mixtral,
  phi3,
  qwen2,
  qwen3,
  qwen3_moe: qwen3Moe,
} satisfies Record<string, ModelTypeRow>

/** A `model_type` that is supported. */
export type ModelType = keyof typeof MODEL_TYPES

export const MODEL_TYPE_NAMES: readonly string[] = Object.keys(MODEL_TYPES)

export function isModelType(name: string): name is ModelType {
  return Object.hasOwn(MODEL_TYPES, name)
}

/** How the config.json of a model type is read. */
export function modelTypeRow(type: ModelType): ModelTypeRow {
  return MODEL_TYPES[type]
}
