import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import { checkExperts, experts, type Experts } from '../parts/experts.ts'
import { gatedMlp } from '../parts/gated-mlp.ts'
import { llamaLike } from '../parts/llama-like.ts'
import { normalisedProjections } from './qwen3.ts'

/** Qwen3 MoE (Yang et al., "Qwen3 Technical Report"): Qwen3 with a mixture of experts in most blocks. */
export const qwen3Moe = llamaLike({
  check(config) {
    if (config.layers.some(({ sparse }) => sparse)) checkExperts(config, expertsOf(config))
  },
  projections: normalisedProjections,
  mlp: (layers, config, x, { layer }) =>
    layer.sparse ? experts(layers, config, expertsOf(config), x) : gatedMlp(layers, config, x),
})

function expertsOf({ raw }: ModelConfig): Experts {
  const fields = new Fields(raw, 'config.json', { num_experts: ['num_experts', 'num_local_experts'] })
  return {
    numExperts: fields.size('num_experts', 128),
    topK: fields.size('num_experts_per_tok', 8),
    normalised: fields.flag('norm_topk_prob', false),
    intermediateSize: fields.size('moe_intermediate_size', 768),
    router: 'mlp.gate',
    names(expert) {
      const module = `mlp.experts.${expert}`
      return { gate: `${module}.gate_proj.weight`, up: `${module}.up_proj.weight`, down: `${module}.down_proj.weight` }
    },
  }
}
