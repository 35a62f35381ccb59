import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { gatedMlp } from '../parts/gated-mlp.ts'
import { llamaLike, type LlamaParts, splitProjections } from '../parts/llama-like.ts'

/** What Command R and its successors have in common. */
export const COHERE: Partial<LlamaParts> = {
  norm: (layers, { normEps }, x, name) => layers.layerNorm(x, name, normEps, { bias: false }),
  norms: () => ({ beforeAttention: 'input_layernorm' }),
  parallel: () => true,
  multipliers: (config) => ({ logits: logitScale(config) }),
  attentionOptions: () => ({ interleaved: true }),
  mlp: (layers, config, x) => gatedMlp(layers, { ...config, mlpBias: false }, x),
  check: (config) => void logitScale(config),
}

/**
 * Command R (Cohere): attention and MLP read the same LayerNorm, which has no bias; channels are rotated in pairs of
 * neighbours, and logits are scaled.
 */
export const cohere = llamaLike({
  ...COHERE,
  projections,
  check(config) {
    logitScale(config)
    hasHeadNorms(config)
  },
})

function projections(layers: Layers, config: ModelConfig, x: Value): Projections {
  const { query, key, value } = splitProjections(layers, config, x)
  if (!hasHeadNorms(config)) return { query, key, value }
  const normalised = (heads: Value, name: string) =>
    layers.ownHeadNorms(heads, name, config.headDim, config.normEps, `${name}.weight`)
  return { query: normalised(query, 'self_attn.q_norm'), key: normalised(key, 'self_attn.k_norm'), value }
}

function logitScale({ raw }: ModelConfig): number {
  return new Fields(raw, 'config.json').positive('logit_scale', 0.0625)
}

function hasHeadNorms({ raw }: ModelConfig): boolean {
  return new Fields(raw, 'config.json').flag('use_qk_norm', false)
}
