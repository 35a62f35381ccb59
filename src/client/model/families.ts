import { classesOf } from './family-classes.ts'

/** The classes of each family; a test compares this list with the table of model types. */
export const { DistributedBloomConfig, DistributedBloomModel, DistributedBloomForCausalLM } = classesOf('bloom')
export const { DistributedFalconConfig, DistributedFalconModel, DistributedFalconForCausalLM } = classesOf('falcon')
export const { DistributedGemma2Config, DistributedGemma2Model, DistributedGemma2ForCausalLM } = classesOf('gemma2')
export const { DistributedGemma3TextConfig, DistributedGemma3TextModel, DistributedGemma3TextForCausalLM } =
  classesOf('gemma3_text')
export const { DistributedLlamaConfig, DistributedLlamaModel, DistributedLlamaForCausalLM } = classesOf('llama')
export const { DistributedMistralConfig, DistributedMistralModel, DistributedMistralForCausalLM } = classesOf('mistral')
export const { DistributedPhi3Config, DistributedPhi3Model, DistributedPhi3ForCausalLM } = classesOf('phi3')
export const { DistributedQwen2Config, DistributedQwen2Model, DistributedQwen2ForCausalLM } = classesOf('qwen2')
export const { DistributedQwen3Config, DistributedQwen3Model, DistributedQwen3ForCausalLM } = classesOf('qwen3')
export const { DistributedMixtralConfig, DistributedMixtralModel, DistributedMixtralForCausalLM } = classesOf('mixtral')
export const { DistributedQwen3MoeConfig, DistributedQwen3MoeModel, DistributedQwen3MoeForCausalLM } =
  classesOf('qwen3_moe')
