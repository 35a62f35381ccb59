import { equalLayers } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

export const olmoe: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 4096,
    ropeTheta: 10000,
    tiedEmbeddings: false,
    bosTokenId: null,
    eosTokenId: 50_279,
  },
  layers: (_, numBlocks) => equalLayers(numBlocks, { rope: 0, sparse: true }),
  experts: { module: 'mlp', gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
