import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Fields } from '../../checkpoint/config/fields.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'
import { alibi, alibiSlopes } from '../parts/alibi.ts'
import { FamilyError } from '../parts/errors.ts'
import type { Family } from '../parts/family.ts'

const EMBEDDING = 'transformer.word_embeddings'
const EMBEDDING_NORM = 'transformer.word_embeddings_layernorm'
const FINAL_NORM = 'transformer.ln_f'
const BIASED = { bias: true }

/**
 * BLOOM (BigScience, "BLOOM: A 176B-Parameter Open-Access Multilingual Language Model"): LayerNorms, ALiBi, and a norm
 * after the embedding.
 */
export const bloom: Family = {
  check({ raw }) {
    if (
      raw['n_inner'] === undefined ||
      raw['n_inner'] === null ||
      raw['n_inner'] === 4 * Number(raw['n_embed'] ?? raw['hidden_size'])
    )
      return
    throw new FamilyError(
      'FAMILY_UNSUPPORTED',
      'n_inner',
      String(raw['n_inner']),
      'is not supported: the MLP is four times as wide as the hidden states',
    )
  },

  names: (config) => ({
    blockPrefix: (block) => `transformer.h.${block}.`,
    embedding: `${EMBEDDING}.weight`,
    finalNorm: `${FINAL_NORM}.weight`,
    head: `${headModule(config)}.weight`,
    ignored: config.tiedEmbeddings ? [/(^|\.)lm_head\.weight$/] : [],
  }),

  embed(layers, { vocabSize, hiddenSize, normEps }, ids) {
    return layers.layerNorm(layers.embedding(ids, EMBEDDING, vocabSize, hiddenSize), EMBEDDING_NORM, normEps)
  },

  block(layers, config, { hidden, attend }) {
    const { numHeads, headDim, hiddenSize, intermediateSize, normEps, activation } = config
    const normsResidual = new Fields(config.raw, 'config.json').flag('apply_residual_connection_post_layernorm', false)

    const x = layers.layerNorm(hidden, 'input_layernorm', normEps)
    const fused = layers.linear(x, 'self_attention.query_key_value', 3 * hiddenSize, BIASED)
    const [query, key, value] = layers.splitGroups(fused, numHeads, [1, 1, 1], headDim, 'self_attention.split_qkv')
    const attended = attend(
      { query: query!, key: key!, value: value! },
      { bias: (positions) => alibi(layers, positions, alibiSlopes(numHeads)) },
    )
    const projected = layers.linear(attended, 'self_attention.dense', hiddenSize, BIASED)
    const middle = layers.add(normsResidual ? x : hidden, projected, 'attention_residual')

    const y = layers.layerNorm(middle, 'post_attention_layernorm', normEps)
    const wide = layers.activation(
      layers.linear(y, 'mlp.dense_h_to_4h', intermediateSize, BIASED),
      activation,
      'mlp.gelu_impl',
    )
    return layers.add(
      normsResidual ? y : middle,
      layers.linear(wide, 'mlp.dense_4h_to_h', hiddenSize, BIASED),
      'mlp_residual',
    )
  },

  norm: finalNorm,

  head(layers, config, hidden) {
    return layers.linear(finalNorm(layers, config, hidden), headModule(config), config.vocabSize, { bias: false })
  },
}

function finalNorm(layers: Layers, { normEps }: ModelConfig, hidden: Value): Value {
  return layers.layerNorm(hidden, FINAL_NORM, normEps)
}

function headModule({ tiedEmbeddings }: ModelConfig): string {
  return tiedEmbeddings ? EMBEDDING : 'lm_head'
}
