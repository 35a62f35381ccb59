import { equalLayers } from '../layer-config.ts'
import { parseRope } from '../rope.ts'
import type { ModelTypeRow } from './row.ts'

export const falcon: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'gelu',
    maxPositions: 2048,
    ropeTheta: 10000,
    tiedEmbeddings: true,
    bosTokenId: 11,
    eosTokenId: 11,
  },
  aliases: {
    hidden_size: ['n_embed', 'hidden_size'],
    num_hidden_layers: ['num_hidden_layers', 'n_layer'],
    num_attention_heads: ['num_attention_heads', 'n_head'],
    num_kv_heads: ['num_kv_heads', 'n_head_kv'],
    rms_norm_eps: ['layer_norm_epsilon'],
    hidden_act: ['activation'],
  },
  intermediateSize: (fields, hiddenSize) => fields.size('ffn_hidden_size', 4 * hiddenSize),
  numKvHeads(fields, numHeads) {
    if (fields.flag('new_decoder_architecture', false)) return fields.size('num_kv_heads', numHeads)
    return fields.flag('multi_query', true) ? 1 : numHeads
  },
  ropes: (source) => (source.config['alibi'] === true ? [] : [parseRope(source)]),
  layers: (fields, numBlocks) => equalLayers(numBlocks, fields.flag('alibi', false) ? {} : { rope: 0 }),
  finalNorm: 'ln_f.weight',
  embedding: 'word_embeddings.weight',
}
