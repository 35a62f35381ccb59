import type { ModelTypeRow } from './row.ts'

export const seedOss: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'silu',
    maxPositions: 524_288,
    ropeTheta: 10_000,
    tiedEmbeddings: false,
    bosTokenId: 0,
    eosTokenId: 2,
    headDim: 128,
    numKvHeads: 8,
    attentionBias: true,
  },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
