import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { FamilyError } from '../parts/errors.ts'
import { checkExperts, experts, type Experts, modulesOfExperts } from '../parts/experts.ts'
import { llamaLike, splitProjections } from '../parts/llama-like.ts'

/**
 * OLMoE (Muennighoff et al., "OLMoE: Open Mixture-of-Experts Language Models"): a mixture of experts in each block, RMS
 * norms over all heads' queries and over all keys, which may be clamped with the values.
 */
export const olmoe = llamaLike({
  check(config) {
    checkExperts(config, expertsOf(config))
    clampOf(config)
    const { headDim, numHeads, hiddenSize } = config
    if (headDim * numHeads === hiddenSize) return
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'head_dim',
      String(headDim),
      `is not supported: the norm of queries is as wide as hidden_size (${hiddenSize})`,
    )
  },
  projections(layers, config, x) {
    const { query, key, value } = splitProjections(layers, config, x)
    const limit = clampOf(config)
    const norm = (heads: Value, name: string) => layers.rmsNorm(heads, name, config.normEps)
    return clamped(layers, { query: norm(query, 'self_attn.q_norm'), key: norm(key, 'self_attn.k_norm'), value }, limit)
  },
  mlp: (layers, config, x) => experts(layers, config, expertsOf(config), x),
})

function clamped(layers: Layers, { query, key, value }: Projections, limit: number | undefined): Projections {
  if (limit === undefined) return { query, key, value }
  const clamp = (x: Value, name: string) => layers.clamp(x, limit, name)
  return {
    query: clamp(query, 'self_attn.clamped_query'),
    key: clamp(key, 'self_attn.clamped_key'),
    value: clamp(value, 'self_attn.clamped_value'),
  }
}

function clampOf({ raw }: ModelConfig): number | undefined {
  return new Fields(raw, 'config.json').optionalPositive('clip_qkv')
}

function expertsOf({ raw, intermediateSize }: ModelConfig): Experts {
  const fields = new Fields(raw, 'config.json', { num_experts: ['num_experts', 'num_local_experts'] })
  return {
    numExperts: fields.size('num_experts', 64),
    topK: fields.size('num_experts_per_tok', 8),
    normalised: fields.flag('norm_topk_prob', false),
    intermediateSize,
    router: 'mlp.gate',
    names: modulesOfExperts('mlp.experts'),
  }
}
