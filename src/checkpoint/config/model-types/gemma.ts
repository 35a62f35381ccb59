import type { ModelTypeRow } from './row.ts'

export const gemma: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'gelu_pytorch_tanh',
    maxPositions: 8192,
    ropeTheta: 10_000,
    tiedEmbeddings: true,
    bosTokenId: 2,
    eosTokenId: 1,
    headDim: 256,
    numKvHeads: 16,
  },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
