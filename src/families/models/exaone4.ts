import { gatedMlp } from '../parts/gated-mlp.ts'
import { llamaLike } from '../parts/llama-like.ts'
import { olmo2Norms } from './olmo2.ts'
import { normalisedProjections } from './qwen3.ts'

/**
 * EXAONE 4.0 (LG AI Research, "EXAONE 4.0"): Llama with norms after attention and MLP, and one on each head's queries
 * and keys; where some layers have a window, the others have no position embedding.
 */
export const exaone4 = llamaLike({
  norms: olmo2Norms,
  projections: (layers, config, x) => normalisedProjections(layers, { ...config, attentionBias: false }, x),
  outputBias: () => false,
  mlp: (layers, config, x) => gatedMlp(layers, { ...config, mlpBias: false }, x),
})
