import type { ModelTypeRow } from './row.ts'

export const phi: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'gelu_new',
    maxPositions: 2048,
    ropeTheta: 10_000,
    tiedEmbeddings: false,
    bosTokenId: 1,
    eosTokenId: 2,
    partialRotary: 0.5,
  },
  aliases: { rms_norm_eps: ['layer_norm_eps'] },
  finalNorm: 'final_layernorm.weight',
  embedding: 'embed_tokens.weight',
}
