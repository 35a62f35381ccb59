import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { llamaLike, splitProjections } from '../parts/llama-like.ts'
import type { BlockNorms } from '../parts/residual-block.ts'

/**
 * OLMo 2 (OLMo Team, "2 OLMo 2 Furious"): Llama with norms after attention and MLP instead of before them, and an RMS
 * norm over all queries and one over all keys.
 */
export const olmo2 = llamaLike({
  norms: olmo2Norms,
  projections: normalisedProjections,
})

/** Where OLMo 2 and its like have norms. */
export function olmo2Norms(): BlockNorms {
  return { afterAttention: 'post_attention_layernorm', afterMlp: 'post_feedforward_layernorm' }
}

function normalisedProjections(layers: Layers, config: ModelConfig, x: Value): Projections {
  const { query, key, value } = splitProjections(layers, config, x)
  return {
    query: layers.rmsNorm(query, 'self_attn.q_norm', config.normEps),
    key: layers.rmsNorm(key, 'self_attn.k_norm', config.normEps),
    value,
  }
}
