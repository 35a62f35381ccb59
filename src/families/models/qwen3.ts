import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { llamaLike, splitProjections } from '../parts/llama-like.ts'

/** Qwen3 (Yang et al., "Qwen3 Technical Report"): Llama with an RMS norm on each head's queries and keys. */
export const qwen3 = llamaLike({ projections: normalisedProjections })

/** Queries, keys and values by three matrices, with an RMS norm on each head's queries and keys. */
export function normalisedProjections(layers: Layers, config: ModelConfig, x: Value): Projections {
  const { headDim, normEps } = config
  const { query, key, value } = splitProjections(layers, config, x)
  return {
    query: layers.headRmsNorm(query, 'self_attn.q_norm', headDim, normEps),
    key: layers.headRmsNorm(key, 'self_attn.k_norm', headDim, normEps),
    value,
  }
}
