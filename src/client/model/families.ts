import { classesOf } from './family-classes.ts'

/** The classes of each family; a test compares this list with the table of model types. */
export const { DistributedBloomConfig, DistributedBloomModel, DistributedBloomForCausalLM } = classesOf('bloom')
export const { DistributedDeepseekV2Config, DistributedDeepseekV2Model, DistributedDeepseekV2ForCausalLM } =
  classesOf('deepseek_v2')
export const { DistributedDeepseekV3Config, DistributedDeepseekV3Model, DistributedDeepseekV3ForCausalLM } =
  classesOf('deepseek_v3')
export const { DistributedFalconConfig, DistributedFalconModel, DistributedFalconForCausalLM } = classesOf('falcon')
export const { DistributedGemma2Config, DistributedGemma2Model, DistributedGemma2ForCausalLM } = classesOf('gemma2')
export const { DistributedGemma3TextConfig, DistributedGemma3TextModel, DistributedGemma3TextForCausalLM } =
  classesOf('gemma3_text')
export const { DistributedGlm4MoeConfig, DistributedGlm4MoeModel, DistributedGlm4MoeForCausalLM } =
  classesOf('glm4_moe')
export const { DistributedGptOssConfig, DistributedGptOssModel, DistributedGptOssForCausalLM } = classesOf('gpt_oss')
export const { DistributedLlamaConfig, DistributedLlamaModel, DistributedLlamaForCausalLM } = classesOf('llama')
export const { DistributedMistralConfig, DistributedMistralModel, DistributedMistralForCausalLM } = classesOf('mistral')
export const { DistributedPhi3Config, DistributedPhi3Model, DistributedPhi3ForCausalLM } = classesOf('phi3')
export const { DistributedQwen2Config, DistributedQwen2Model, DistributedQwen2ForCausalLM } = classesOf('qwen2')
export const { DistributedQwen3Config, DistributedQwen3Model, DistributedQwen3ForCausalLM } = classesOf('qwen3')
export const { DistributedMixtralConfig, DistributedMixtralModel, DistributedMixtralForCausalLM } = classesOf('mixtral')
export const { DistributedQwen3MoeConfig, DistributedQwen3MoeModel, DistributedQwen3MoeForCausalLM } =
  classesOf('qwen3_moe')
export const { DistributedCohereConfig, DistributedCohereModel, DistributedCohereForCausalLM } = classesOf('cohere')
export const { DistributedCohere2Config, DistributedCohere2Model, DistributedCohere2ForCausalLM } = classesOf('cohere2')
export const { DistributedGlmConfig, DistributedGlmModel, DistributedGlmForCausalLM } = classesOf('glm')
export const { DistributedGlm4Config, DistributedGlm4Model, DistributedGlm4ForCausalLM } = classesOf('glm4')
export const { DistributedGptNeoxConfig, DistributedGptNeoxModel, DistributedGptNeoxForCausalLM } =
  classesOf('gpt_neox')
export const { DistributedGraniteConfig, DistributedGraniteModel, DistributedGraniteForCausalLM } = classesOf('granite')
export const { DistributedOlmo2Config, DistributedOlmo2Model, DistributedOlmo2ForCausalLM } = classesOf('olmo2')
export const { DistributedOlmo3Config, DistributedOlmo3Model, DistributedOlmo3ForCausalLM } = classesOf('olmo3')
export const { DistributedPhiConfig, DistributedPhiModel, DistributedPhiForCausalLM } = classesOf('phi')
export const { DistributedSmollm3Config, DistributedSmollm3Model, DistributedSmollm3ForCausalLM } = classesOf('smollm3')
export const { DistributedStablelmConfig, DistributedStablelmModel, DistributedStablelmForCausalLM } =
  classesOf('stablelm')
export const { DistributedStarcoder2Config, DistributedStarcoder2Model, DistributedStarcoder2ForCausalLM } =
  classesOf('starcoder2')
export const { DistributedGemmaConfig, DistributedGemmaModel, DistributedGemmaForCausalLM } = classesOf('gemma')
export const { DistributedGptjConfig, DistributedGptjModel, DistributedGptjForCausalLM } = classesOf('gptj')
export const { DistributedNemotronConfig, DistributedNemotronModel, DistributedNemotronForCausalLM } =
  classesOf('nemotron')
export const { DistributedExaone4Config, DistributedExaone4Model, DistributedExaone4ForCausalLM } = classesOf('exaone4')
export const { DistributedSeedOssConfig, DistributedSeedOssModel, DistributedSeedOssForCausalLM } =
  classesOf('seed_oss')
export const { DistributedErnie45Config, DistributedErnie45Model, DistributedErnie45ForCausalLM } =
  classesOf('ernie4_5')
export const { DistributedQwen2MoeConfig, DistributedQwen2MoeModel, DistributedQwen2MoeForCausalLM } =
  classesOf('qwen2_moe')
export const { DistributedOlmoeConfig, DistributedOlmoeModel, DistributedOlmoeForCausalLM } = classesOf('olmoe')
