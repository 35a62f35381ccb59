import { parseRope } from '../rope.ts'
import type { ModelTypeRow } from './row.ts'

export const gptNeox: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'gelu',
    maxPositions: 2048,
    ropeTheta: 10_000,
    tiedEmbeddings: false,
    bosTokenId: 0,
    eosTokenId: 2,
    attentionBias: true,
    partialRotary: 0.25,
  },
  aliases: { rms_norm_eps: ['layer_norm_eps'] },
  numKvHeads: (_, numHeads) => numHeads,
  // Where rope_parameters say nothing, two fields with names of their own count.
  ropes: ({ config, ...source }) => [
    parseRope({
      ...source,
      config: { ...config, rope_theta: config['rotary_emb_base'], partial_rotary_factor: config['rotary_pct'] },
    }),
  ],
  finalNorm: 'final_layer_norm.weight',
  embedding: 'embed_in.weight',
  head: 'embed_out.weight',
}
