import type { ModelTypeRow } from './row.ts'

export const llama: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'silu',
    maxPositions: 2048,
    ropeTheta: 10000,
    tiedEmbeddings: false,
    bosTokenId: 1,
    eosTokenId: 2,
  },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
