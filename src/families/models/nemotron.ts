import { llamaLike } from '../parts/llama-like.ts'
import { plainMlp } from '../parts/plain-mlp.ts'

/** The weights of norms are stored minus one. */
const NORM_OFFSET = 1

/**
 * Nemotron and Minitron (Parmar et al., "Nemotron-4 15B Technical Report"): Llama with LayerNorms, an MLP without a
 * gate and partly rotated heads.
 */
export const nemotron = llamaLike({
  norm: (layers, { normEps }, x, name) => layers.layerNorm(x, name, normEps, { offset: NORM_OFFSET }),
  mlp: (layers, config, x) =>
    plainMlp(layers, config, x, { up: 'mlp.up_proj', down: 'mlp.down_proj', bias: config.mlpBias }),
})
