import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { checkHeadDim, LLAMA_NAMES, llamaLike, splitProjections } from '../parts/llama-like.ts'
import { plainMlp } from '../parts/plain-mlp.ts'

/**
 * Phi-1, Phi-1.5 and Phi-2 (Li et al., "Textbooks Are All You Need II"): attention and MLP read the same LayerNorm, all
 * linear layers have biases, the head too, and half of each head's channels are rotated.
 */
export const phi = llamaLike({
  names: { ...LLAMA_NAMES, finalNorm: 'model.final_layernorm', output: 'self_attn.dense' },
  norm: (layers, { normEps }, x, name) => layers.layerNorm(x, name, normEps),
  norms: () => ({ beforeAttention: 'input_layernorm' }),
  parallel: () => true,
  projections,
  outputBias: () => true,
  mlp: (layers, config, x) => plainMlp(layers, config, x, { up: 'mlp.fc1', down: 'mlp.fc2', bias: true }),
  headBias: true,
  check(config) {
    if (hasHeadNorms(config)) checkHeadDim(config)
  },
})

function projections(layers: Layers, config: ModelConfig, x: Value): Projections {
  const { query, key, value } = splitProjections(layers, config, x, true)
  if (!hasHeadNorms(config)) return { query, key, value }
  const normalised = (heads: Value, name: string) => layers.headLayerNorm(heads, name, config.headDim, config.normEps)
  return { query: normalised(query, 'self_attn.q_layernorm'), key: normalised(key, 'self_attn.k_layernorm'), value }
}

function hasHeadNorms({ raw }: ModelConfig): boolean {
  return new Fields(raw, 'config.json').flag('qk_layernorm', false)
}
