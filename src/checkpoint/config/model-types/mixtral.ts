import { windowLayers } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

export const mixtral: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 131_072,
    ropeTheta: 1e6,
    tiedEmbeddings: false,
    bosTokenId: 1,
    eosTokenId: 2,
    numKvHeads: 8,
  },
  layers: (fields, numBlocks) => windowLayers(fields, numBlocks).map((layer) => ({ ...layer, sparse: true })),
  experts: { module: 'block_sparse_moe', gate: 'w1', up: 'w3', down: 'w2' },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
