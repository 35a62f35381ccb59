import { windowLayers } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

const DEFAULT_WINDOW = 4096

export const mistral: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'silu',
    maxPositions: 131_072,
    ropeTheta: 10000,
    tiedEmbeddings: false,
    bosTokenId: 1,
    eosTokenId: 2,
    numKvHeads: 8,
  },
  layers: (fields, numBlocks) => windowLayers(fields, numBlocks, DEFAULT_WINDOW),
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
