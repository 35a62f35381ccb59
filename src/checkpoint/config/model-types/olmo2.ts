import type { ModelTypeRow } from './row.ts'

export const olmo2: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 2048,
    ropeTheta: 10_000,
    tiedEmbeddings: false,
    bosTokenId: null,
    eosTokenId: 50_279,
  },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
