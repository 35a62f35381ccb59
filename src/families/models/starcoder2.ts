import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import { llamaLike, splitProjections } from '../parts/llama-like.ts'
import { plainMlp } from '../parts/plain-mlp.ts'

/**
 * StarCoder 2 (Lozhkov et al., "StarCoder 2 and The Stack v2"): Llama with LayerNorms, biases and an MLP without a
 * gate; its layers may attend within a window.
 */
export const starcoder2 = llamaLike({
  norm: (layers, { normEps }, x, name) => layers.layerNorm(x, name, normEps),
  projections: (layers, config, x) => splitProjections(layers, config, x, hasBiases(config)),
  outputBias: hasBiases,
  mlp: (layers, config, x) =>
    plainMlp(layers, config, x, { up: 'mlp.c_fc', down: 'mlp.c_proj', bias: hasBiases(config) }),
  check: (config) => void hasBiases(config),
})

function hasBiases({ raw }: ModelConfig): boolean {
  return new Fields(raw, 'config.json').flag('use_bias', true)
}
