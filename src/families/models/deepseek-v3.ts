import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { checkExperts } from '../parts/experts.ts'
import type { Family } from '../parts/family.ts'
import { gatedMlp } from '../parts/gated-mlp.ts'
import { checkLatent, latentAttention, latentSizes } from '../parts/latent-attention.ts'
import { llamaLike } from '../parts/llama-like.ts'
import { checkOption, correctedRouter, sharedExperts, type SharedExperts } from '../parts/shared-experts.ts'

/**
 * DeepSeek-V3 (Liu et al., "DeepSeek-V3 Technical Report"): latent attention; in most blocks a mixture of experts whose
 * router weights each by itself, out of the best groups, beside experts that compute every token.
 */
export const deepseekV3 = deepseekLike((config) =>
  correctedRouter(config, {
    numExperts: 256,
    topK: 8,
    intermediateSize: 2048,
    shared: 1,
    factor: 2.5,
    groups: { count: 8, chosen: 4, leaders: 2 },
  }),
)

/** A family of DeepSeek's with its own router. */
export function deepseekLike(expertsOf: (config: ModelConfig) => SharedExperts): Family {
  return llamaLike({
    check(config) {
      checkLatent(config)
      if (!config.layers.some(({ sparse }) => sparse)) return
      checkExperts(config, expertsOf(config))
      checkOption(config, 'moe_layer_freq', 1)
    },
    attention: (layers, config, x, inputs) => latentAttention(layers, config, latentSizes(config), x, inputs),
    mlp: (layers, config, x, { layer }) =>
      layer.sparse ? sharedExperts(layers, config, expertsOf(config), x) : gatedMlp(layers, config, x),
  })
}
