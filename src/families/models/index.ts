// Floor families/: model architectures, each written once. Rooms, from the ground up: parts/ (what they are made of),
// models/ (one file for each, and here the table of all), graphs/ (embedding, blocks and head as graphs).

import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { ModelType } from '../../checkpoint/config/model-types/index.ts'
import { bloom } from './bloom.ts'
import { cohere } from './cohere.ts'
import { cohere2 } from './cohere2.ts'
import { ernie4_5 } from './ernie4-5.ts'
import { deepseekV2 } from './deepseek-v2.ts'
import { deepseekV3 } from './deepseek-v3.ts'
import { FamilyError } from '../parts/errors.ts'
import { exaone4 } from './exaone4.ts'
import { falcon } from './falcon.ts'
import type { Family } from '../parts/family.ts'
import { gemma } from './gemma.ts'
import { gemma2 } from './gemma2.ts'
import { gemma3 } from './gemma3.ts'
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
import { seedOss } from './seed-oss.ts'
import { smollm3 } from './smollm3.ts'
import { stablelm } from './stablelm.ts'
import { starcoder2 } from './starcoder2.ts'

const FAMILIES: Record<ModelType, Family> = {
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
  gemma3_text: gemma3,
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
}

/**
 * The family of a model, after all options of its config have been checked. Throws `FAMILY_UNKNOWN` with the list of
 * supported model types, and `FAMILY_UNSUPPORTED` for an option that would change the results.
 */
export function familyOf(config: ModelConfig): Family {
  const { modelType } = config
  if (!Object.hasOwn(FAMILIES, modelType)) {
    throw new FamilyError(
      'FAMILY_UNKNOWN',
      'model_type',
      modelType,
      `is not supported: choose a model of type ${Object.keys(FAMILIES).join(', ')}`,
    )
  }
  const family = FAMILIES[modelType]
  family.check(config)
  return family
}
