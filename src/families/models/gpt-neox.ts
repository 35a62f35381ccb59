import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { checkHeadDim, llamaLike } from '../parts/llama-like.ts'
import { plainMlp } from '../parts/plain-mlp.ts'

/**
 * GPT-NeoX and Pythia (Black et al., "GPT-NeoX-20B"): attention and MLP, each with a LayerNorm of its own, read the
 * same hidden states; queries, keys and values are one matrix, and a quarter of each head's channels is rotated.
 */
export const gptNeox = llamaLike({
  names: {
    blocks: 'gpt_neox.layers',
    embedding: 'gpt_neox.embed_in',
    finalNorm: 'gpt_neox.final_layer_norm',
    head: 'embed_out',
    output: 'attention.dense',
  },
  ignored: [/(^|\.)attention\.(masked_)?bias$/],
  norm: (layers, { normEps }, x, name) => layers.layerNorm(x, name, normEps),
  parallel: isParallel,
  projections,
  mlp: (layers, config, x) =>
    plainMlp(layers, config, x, { up: 'mlp.dense_h_to_4h', down: 'mlp.dense_4h_to_h', bias: true }),
  check(config) {
    checkHeadDim(config)
    isParallel(config)
  },
})

/** Each head's query, key and value lie together. */
function projections(
  layers: Layers,
  { numHeads, headDim, hiddenSize, attentionBias: bias }: ModelConfig,
  x: Value,
): Projections {
  const fused = layers.linear(x, 'attention.query_key_value', 3 * hiddenSize, { bias })
  const [query, key, value] = layers.splitGroups(fused, numHeads, [1, 1, 1], headDim, 'attention.split_qkv')
  return { query: query!, key: key!, value: value! }
}

function isParallel({ raw }: ModelConfig): boolean {
  return new Fields(raw, 'config.json').flag('use_parallel_residual', true)
}
