import type { ModelTypeRow } from './row.ts'

export const glm: ModelTypeRow = {
  defaults: {
    normEps: 1.5625e-7,
    activation: 'silu',
    maxPositions: 131_072,
    ropeTheta: 10_000,
    tiedEmbeddings: false,
    bosTokenId: null,
    eosTokenId: [151_329, 151_336, 151_338],
    headDim: 128,
    numKvHeads: 2,
    attentionBias: true,
    partialRotary: 0.5,
  },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
