import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { checkExperts, experts, type Experts, modulesOfExperts } from '../parts/experts.ts'
import { gatedMlp } from '../parts/gated-mlp.ts'
import { llamaLike, splitProjections } from '../parts/llama-like.ts'

const SHARED_SIZE = 5632

/**
 * Qwen2 MoE (Yang et al., "Qwen2 Technical Report"): Qwen2 with a mixture of experts in most blocks, beside an expert
 * that computes every token and has a gate of its own.
 */
export const qwen2Moe = llamaLike({
  check(config) {
    biasOf(config)
    if (config.layers.some(({ sparse }) => sparse)) checkExperts(config, expertsOf(config))
  },
  projections: (layers, config, x) => splitProjections(layers, config, x, biasOf(config)),
  outputBias: () => false,
  mlp: (layers, config, x, { layer }) => (layer.sparse ? gatedExperts(layers, config, x) : gatedMlp(layers, config, x)),
})

function gatedExperts(layers: Layers, config: ModelConfig, x: Value): Value {
  const intermediateSize = fieldsOf(config).size('shared_expert_intermediate_size', SHARED_SIZE)
  const shared = gatedMlp(layers, { ...config, intermediateSize }, x, 'mlp.shared_expert')
  const gate = layers.linear(x, 'mlp.shared_expert_gate', 1, { bias: false })
  const opened = layers.mul(shared, layers.sigmoid(gate, 'mlp.shared_expert_share'), 'mlp.shared_expert_opened')
  return layers.add(experts(layers, config, expertsOf(config), x), opened, 'mlp.all_experts')
}

function biasOf(config: ModelConfig): boolean {
  return fieldsOf(config).flag('qkv_bias', true)
}

function expertsOf(config: ModelConfig): Experts {
  const fields = fieldsOf(config)
  return {
    numExperts: fields.size('num_experts', 60),
    topK: fields.size('num_experts_per_tok', 4),
    normalised: fields.flag('norm_topk_prob', false),
    intermediateSize: fields.size('moe_intermediate_size', 1408),
    router: 'mlp.gate',
    names: modulesOfExperts('mlp.experts'),
  }
}

function fieldsOf({ raw }: ModelConfig): Fields {
  return new Fields(raw, 'config.json', { num_experts: ['num_experts', 'num_local_experts'] })
}
