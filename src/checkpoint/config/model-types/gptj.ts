import { Fields } from '../fields.ts'
import type { ModelTypeRow } from './row.ts'

const DEFAULT_ROTARY_DIM = 64
const THETA = 10_000

export const gptj: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'gelu_new',
    maxPositions: 2048,
    ropeTheta: THETA,
    tiedEmbeddings: false,
    bosTokenId: 50_256,
    eosTokenId: 50_256,
  },
  aliases: {
    hidden_size: ['n_embd', 'hidden_size'],
    num_hidden_layers: ['n_layer', 'num_hidden_layers'],
    num_attention_heads: ['n_head', 'num_attention_heads'],
    max_position_embeddings: ['n_positions', 'max_position_embeddings'],
    rms_norm_eps: ['layer_norm_epsilon'],
    hidden_act: ['activation_function'],
  },
  intermediateSize: (fields, hiddenSize) => fields.size('n_inner', 4 * hiddenSize),
  numKvHeads: (_, numHeads) => numHeads,
  // A rotary_dim of null is refused: it would be wider than a head.
  ropes({ config, file, headDim }) {
    const fields = new Fields(config, file)
    const rotaryDim = fields.has('rotary_dim') ? fields.size('rotary_dim') : DEFAULT_ROTARY_DIM
    if (rotaryDim > headDim || rotaryDim % 2 !== 0)
      fields.fail('rotary_dim', `must be an even number of the ${headDim} channels of a head`)
    return [{ type: 'default', theta: THETA, rotaryDim }]
  },
  finalNorm: 'ln_f.weight',
  embedding: 'wte.weight',
}
