import type { ModelTypeRow } from './row.ts'

export const nemotron: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'relu2',
    maxPositions: 4096,
    ropeTheta: 10_000,
    tiedEmbeddings: false,
    bosTokenId: 2,
    eosTokenId: 3,
    partialRotary: 0.5,
  },
  aliases: { rms_norm_eps: ['norm_eps'] },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
