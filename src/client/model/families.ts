import { classesOf } from './family-classes.ts'

/** The classes of each family; a test compares this list with the table of model types. */
export const {
  DistributedBloomConfig,
  DistributedBloomModel,
  DistributedBloomForCausalLM,
  DistributedBloomForSequenceClassification,
} = classesOf('bloom')
export const {
  DistributedDeepseekV2Config,
  DistributedDeepseekV2Model,
  DistributedDeepseekV2ForCausalLM,
  DistributedDeepseekV2ForSequenceClassification,
} = classesOf('deepseek_v2')
export const {
  DistributedDeepseekV3Config,
  DistributedDeepseekV3Model,
  DistributedDeepseekV3ForCausalLM,
  DistributedDeepseekV3ForSequenceClassification,
} = classesOf('deepseek_v3')
export const {
  DistributedFalconConfig,
  DistributedFalconModel,
  DistributedFalconForCausalLM,
  DistributedFalconForSequenceClassification,
} = classesOf('falcon')
export const {
  DistributedGemma2Config,
  DistributedGemma2Model,
  DistributedGemma2ForCausalLM,
  DistributedGemma2ForSequenceClassification,
} = classesOf('gemma2')
export const {
  DistributedGemma3TextConfig,
  DistributedGemma3TextModel,
  DistributedGemma3TextForCausalLM,
  DistributedGemma3TextForSequenceClassification,
} = classesOf('gemma3_text')
export const {
  DistributedGlm4MoeConfig,
  DistributedGlm4MoeModel,
  DistributedGlm4MoeForCausalLM,
  DistributedGlm4MoeForSequenceClassification,
} = classesOf('glm4_moe')
export const {
  DistributedGptOssConfig,
  DistributedGptOssModel,
  DistributedGptOssForCausalLM,
  DistributedGptOssForSequenceClassification,
} = classesOf('gpt_oss')
export const {
  DistributedLlamaConfig,
  DistributedLlamaModel,
  DistributedLlamaForCausalLM,
  DistributedLlamaForSequenceClassification,
} = classesOf('llama')
export const {
  DistributedMistralConfig,
  DistributedMistralModel,
  DistributedMistralForCausalLM,
  DistributedMistralForSequenceClassification,
} = classesOf('mistral')
export const {
  DistributedPhi3Config,
  DistributedPhi3Model,
  DistributedPhi3ForCausalLM,
  DistributedPhi3ForSequenceClassification,
} = classesOf('phi3')
export const {
  DistributedQwen2Config,
  DistributedQwen2Model,
  DistributedQwen2ForCausalLM,
  DistributedQwen2ForSequenceClassification,
} = classesOf('qwen2')
export const {
  DistributedQwen3Config,
  DistributedQwen3Model,
  DistributedQwen3ForCausalLM,
  DistributedQwen3ForSequenceClassification,
} = classesOf('qwen3')
export const {
  DistributedMixtralConfig,
  DistributedMixtralModel,
  DistributedMixtralForCausalLM,
  DistributedMixtralForSequenceClassification,
} = classesOf('mixtral')
export const {
  DistributedQwen3MoeConfig,
  DistributedQwen3MoeModel,
  DistributedQwen3MoeForCausalLM,
  DistributedQwen3MoeForSequenceClassification,
} = classesOf('qwen3_moe')
export const {
  DistributedCohereConfig,
  DistributedCohereModel,
  DistributedCohereForCausalLM,
  DistributedCohereForSequenceClassification,
} = classesOf('cohere')
export const {
  DistributedCohere2Config,
  DistributedCohere2Model,
  DistributedCohere2ForCausalLM,
  DistributedCohere2ForSequenceClassification,
} = classesOf('cohere2')
export const {
  DistributedGlmConfig,
  DistributedGlmModel,
  DistributedGlmForCausalLM,
  DistributedGlmForSequenceClassification,
} = classesOf('glm')
export const {
  DistributedGlm4Config,
  DistributedGlm4Model,
  DistributedGlm4ForCausalLM,
  DistributedGlm4ForSequenceClassification,
} = classesOf('glm4')
export const {
  DistributedGptNeoxConfig,
  DistributedGptNeoxModel,
  DistributedGptNeoxForCausalLM,
  DistributedGptNeoxForSequenceClassification,
} = classesOf('gpt_neox')
export const {
  DistributedGraniteConfig,
  DistributedGraniteModel,
  DistributedGraniteForCausalLM,
  DistributedGraniteForSequenceClassification,
} = classesOf('granite')
export const {
  DistributedOlmo2Config,
  DistributedOlmo2Model,
  DistributedOlmo2ForCausalLM,
  DistributedOlmo2ForSequenceClassification,
} = classesOf('olmo2')
export const {
  DistributedOlmo3Config,
  DistributedOlmo3Model,
  DistributedOlmo3ForCausalLM,
  DistributedOlmo3ForSequenceClassification,
} = classesOf('olmo3')
export const {
  DistributedPhiConfig,
  DistributedPhiModel,
  DistributedPhiForCausalLM,
  DistributedPhiForSequenceClassification,
} = classesOf('phi')
export const {
  DistributedSmollm3Config,
  DistributedSmollm3Model,
  DistributedSmollm3ForCausalLM,
  DistributedSmollm3ForSequenceClassification,
} = classesOf('smollm3')
export const {
  DistributedStablelmConfig,
  DistributedStablelmModel,
  DistributedStablelmForCausalLM,
  DistributedStablelmForSequenceClassification,
} = classesOf('stablelm')
export const {
  DistributedStarcoder2Config,
  DistributedStarcoder2Model,
  DistributedStarcoder2ForCausalLM,
  DistributedStarcoder2ForSequenceClassification,
} = classesOf('starcoder2')
export const {
  DistributedGemmaConfig,
  DistributedGemmaModel,
  DistributedGemmaForCausalLM,
  DistributedGemmaForSequenceClassification,
} = classesOf('gemma')
export const {
  DistributedGptjConfig,
  DistributedGptjModel,
  DistributedGptjForCausalLM,
  DistributedGptjForSequenceClassification,
} = classesOf('gptj')
export const {
  DistributedNemotronConfig,
  DistributedNemotronModel,
  DistributedNemotronForCausalLM,
  DistributedNemotronForSequenceClassification,
} = classesOf('nemotron')
export const {
  DistributedExaone4Config,
  DistributedExaone4Model,
  DistributedExaone4ForCausalLM,
  DistributedExaone4ForSequenceClassification,
} = classesOf('exaone4')
export const {
  DistributedSeedOssConfig,
  DistributedSeedOssModel,
  DistributedSeedOssForCausalLM,
  DistributedSeedOssForSequenceClassification,
} = classesOf('seed_oss')
export const {
  DistributedErnie45Config,
  DistributedErnie45Model,
  DistributedErnie45ForCausalLM,
  DistributedErnie45ForSequenceClassification,
} = classesOf('ernie4_5')
export const {
  DistributedQwen2MoeConfig,
  DistributedQwen2MoeModel,
  DistributedQwen2MoeForCausalLM,
  DistributedQwen2MoeForSequenceClassification,
} = classesOf('qwen2_moe')
export const {
  DistributedOlmoeConfig,
  DistributedOlmoeModel,
  DistributedOlmoeForCausalLM,
  DistributedOlmoeForSequenceClassification,
} = classesOf('olmoe')
