import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { fusedGatedMlp } from '../parts/gated-mlp.ts'
import { llamaLike } from '../parts/llama-like.ts'

/**
 * Phi-3 (Abdin et al., "Phi-3 Technical Report"): Llama with one fused matrix for queries, keys and values, and one for
 * gate and up.
 */
export const phi3 = llamaLike({ projections: fusedProjections, outputBias: () => false, mlp: fusedGatedMlp })

function fusedProjections(layers: Layers, { numHeads, numKvHeads, headDim }: ModelConfig, x: Value): Projections {
  const sizes = [numHeads * headDim, numKvHeads * headDim, numKvHeads * headDim]
  const fused = layers.linear(x, 'self_attn.qkv_proj', sizes[0]! + sizes[1]! + sizes[2]!, { bias: false })
  const [query, key, value] = layers.split(fused, sizes, 'self_attn.split_qkv')
  return { query: query!, key: key!, value: value! }
}
