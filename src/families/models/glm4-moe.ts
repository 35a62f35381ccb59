import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import { checkExperts } from '../parts/experts.ts'
import { gatedMlp } from '../parts/gated-mlp.ts'
import { llamaLike, splitProjections } from '../parts/llama-like.ts'
import { normalisedProjections } from './qwen3.ts'
import { correctedRouter, sharedExperts, type SharedExperts } from '../parts/shared-experts.ts'

/**
 * GLM-4.5 (Zeng et al., "GLM-4.5: Agentic, Reasoning, and Coding Foundation Models"): DeepSeek-V3's experts beside
 * ordinary attention, of whose channels a part is rotated.
 */
export const glm4Moe = llamaLike({
  check(config) {
    normalisesHeads(config)
    if (config.layers.some(({ sparse }) => sparse)) checkExperts(config, expertsOf(config))
  },
  projections: (layers, config, x) =>
    (normalisesHeads(config) ? normalisedProjections : splitProjections)(layers, config, x),
  outputBias: () => false,
  mlp: (layers, config, x, { layer }) =>
    layer.sparse ? sharedExperts(layers, config, expertsOf(config), x) : gatedMlp(layers, config, x),
})

function normalisesHeads({ raw }: ModelConfig): boolean {
  return new Fields(raw, 'config.json').flag('use_qk_norm', false)
}

function expertsOf(config: ModelConfig): SharedExperts {
  return correctedRouter(config, {
    numExperts: 128,
    topK: 8,
    intermediateSize: 1408,
    shared: 1,
    factor: 1,
    groups: { count: 1, chosen: 1, leaders: 2 },
  })
}
