import { checkHeadDim, llamaLike } from '../parts/llama-like.ts'
import { plainMlp } from '../parts/plain-mlp.ts'

/**
 * GPT-J (Wang and Komatsuzaki, "GPT-J-6B"): attention and MLP read the same LayerNorm; a part of each head's channels
 * is rotated, in pairs of neighbours; MLP and head have biases.
 */
export const gptj = llamaLike({
  names: {
    blocks: 'transformer.h',
    embedding: 'transformer.wte',
    finalNorm: 'transformer.ln_f',
    head: 'lm_head',
    output: 'attn.out_proj',
  },
  ignored: [/(^|\.)attn\.(masked_)?bias$/],
  norm: (layers, { normEps }, x, name) => layers.layerNorm(x, name, normEps),
  norms: () => ({ beforeAttention: 'ln_1' }),
  parallel: () => true,
  projections: (layers, { hiddenSize }, x) => ({
    query: layers.linear(x, 'attn.q_proj', hiddenSize, { bias: false }),
    key: layers.linear(x, 'attn.k_proj', hiddenSize, { bias: false }),
    value: layers.linear(x, 'attn.v_proj', hiddenSize, { bias: false }),
  }),
  attentionOptions: () => ({ interleaved: true }),
  outputBias: () => false,
  mlp: (layers, config, x) => plainMlp(layers, config, x, { up: 'mlp.fc_in', down: 'mlp.fc_out', bias: true }),
  headBias: true,
  activationField: 'activation_function',
  check: checkHeadDim,
})
