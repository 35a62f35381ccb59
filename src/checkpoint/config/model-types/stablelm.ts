import type { ModelTypeRow } from './row.ts'

export const stablelm: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 4096,
    ropeTheta: 10_000,
    tiedEmbeddings: false,
    bosTokenId: 0,
    eosTokenId: 0,
    numKvHeads: 32,
    partialRotary: 0.25,
  },
  aliases: { rms_norm_eps: ['layer_norm_eps'] },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
