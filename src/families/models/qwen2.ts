import { llamaLike, splitProjections } from '../parts/llama-like.ts'

/**
 * Qwen2 (Yang et al., "Qwen2 Technical Report"): Llama with biases on queries, keys and values; the last layers may
 * have a window.
 */
export const qwen2 = llamaLike({
  projections: (layers, config, x) => splitProjections(layers, config, x, true),
  outputBias: () => false,
})
