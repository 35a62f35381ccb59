import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import { checkExperts, experts, type Experts } from '../parts/experts.ts'
import { llamaLike } from '../parts/llama-like.ts'

/** Mixtral (Jiang et al., "Mixtral of Experts"): Mistral with a mixture of experts in each block. */
export const mixtral = llamaLike({
  check: (config) => checkExperts(config, expertsOf(config)),
  mlp: (layers, config, x) => experts(layers, config, expertsOf(config), x),
})

function expertsOf({ raw, intermediateSize }: ModelConfig): Experts {
  const fields = new Fields(raw, 'config.json', { num_local_experts: ['num_local_experts', 'num_experts'] })
  return {
    numExperts: fields.size('num_local_experts', 8),
    topK: fields.size('num_experts_per_tok', 2),
    normalised: true,
    intermediateSize,
    router: 'block_sparse_moe.gate',
    names(expert) {
      const module = `block_sparse_moe.experts.${expert}`
      return { gate: `${module}.w1.weight`, up: `${module}.w3.weight`, down: `${module}.w2.weight` }
    },
  }
}
