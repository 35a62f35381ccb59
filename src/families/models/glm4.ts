import { GLM } from './glm.ts'
import { llamaLike } from '../parts/llama-like.ts'

/** GLM-4-0414 (Zhipu AI): GLM-4 with further norms after attention and MLP. */
export const glm4 = llamaLike({
  ...GLM,
  norms: () => ({
    beforeAttention: 'input_layernorm',
    afterAttention: 'post_self_attn_layernorm',
    beforeMlp: 'post_attention_layernorm',
    afterMlp: 'post_mlp_layernorm',
  }),
})
