import type { ModelTypeRow } from './row.ts'

export const ernie4_5: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 131_072,
    ropeTheta: 500_000,
    tiedEmbeddings: true,
    bosTokenId: 1,
    eosTokenId: 2,
    headDim: 128,
    numKvHeads: 2,
  },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
