import { equalLayers } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

/**
 * Bounds only the length of a session: BLOOM has no position table, its attention scores (ALiBi) fall with distance at
 * any length.
 */
const MAX_POSITIONS = 2 ** 20

export const bloom: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'gelu_pytorch_tanh',
    maxPositions: MAX_POSITIONS,
    ropeTheta: 10000,
    tiedEmbeddings: true,
    bosTokenId: 1,
    eosTokenId: 2,
  },
  aliases: {
    hidden_size: ['n_embed', 'hidden_size'],
    num_hidden_layers: ['n_layer', 'num_hidden_layers'],
    num_attention_heads: ['n_head', 'num_attention_heads'],
    rms_norm_eps: ['layer_norm_epsilon'],
  },
  intermediateSize: (_, hiddenSize) => 4 * hiddenSize,
  ropes: () => [],
  layers: (_, numBlocks) => equalLayers(numBlocks, {}),
  finalNorm: 'ln_f.weight',
  embedding: 'word_embeddings.weight',
}
