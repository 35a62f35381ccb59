import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { gatedMlp } from '../parts/gated-mlp.ts'
import { checkHeadDim, llamaLike, splitProjections } from '../parts/llama-like.ts'

/** In what StableLM's models differ. */
interface StableLmOptions {
  readonly projectionBias: boolean
  /** Whether each head's queries and keys have a norm of their own. */
  readonly headNorms: boolean
  readonly parallel: boolean
}

/**
 * StableLM (Bellagente et al., "Stable LM 2 1.6B Technical Report"): Llama with LayerNorms and partly rotated heads;
 * attention and MLP may read the same norm.
 */
export const stablelm = llamaLike({
  norm: (layers, { normEps }, x, name) => layers.layerNorm(x, name, normEps),
  norms: (config) => ({
    beforeAttention: 'input_layernorm',
    ...(!optionsOf(config).parallel && { beforeMlp: 'post_attention_layernorm' }),
  }),
  parallel: (config) => optionsOf(config).parallel,
  projections,
  outputBias: () => false,
  mlp: (layers, config, x) => gatedMlp(layers, { ...config, mlpBias: false }, x),
  check(config) {
    checkHeadDim(config)
    optionsOf(config)
  },
})

function projections(layers: Layers, config: ModelConfig, x: Value): Projections {
  const { projectionBias, headNorms } = optionsOf(config)
  const { query, key, value } = splitProjections(layers, config, x, projectionBias)
  if (!headNorms) return { query, key, value }
  const normalised = (heads: Value, name: string, count: number) => {
    const weights = Array.from({ length: count }, (_, head) => `${name}.norms.${head}.weight`)
    return layers.ownHeadNorms(heads, name, config.headDim, config.normEps, weights)
  }
  return {
    query: normalised(query, 'self_attn.q_layernorm', config.numHeads),
    key: normalised(key, 'self_attn.k_layernorm', config.numKvHeads),
    value,
  }
}

function optionsOf({ raw }: ModelConfig): StableLmOptions {
  const fields = new Fields(raw, 'config.json')
  return {
    projectionBias: fields.flag('use_qkv_bias', false),
    headNorms: fields.flag('qk_layernorm', false),
    parallel: fields.flag('use_parallel_residual', false),
  }
}
