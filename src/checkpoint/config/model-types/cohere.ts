import type { ModelTypeRow } from './row.ts'

export const cohere: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 8192,
    ropeTheta: 500_000,
    tiedEmbeddings: true,
    bosTokenId: 5,
    eosTokenId: 255_001,
  },
  aliases: { rms_norm_eps: ['layer_norm_eps'] },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
