import type { Fields } from '../fields.ts'
import { equalLayers, type LayerConfig, readWindow } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'
import { sparseLayers } from './sparse-layers.ts'

const DEFAULT_WINDOW = 4096

export const qwen3Moe: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'silu',
    maxPositions: 32_768,
    ropeTheta: 10000,
    tiedEmbeddings: false,
    bosTokenId: null,
    eosTokenId: null,
    numKvHeads: 4,
  },
  layers: (fields, numBlocks) => sparseLayers(fields, sameWindow(fields, numBlocks)),
  experts: { module: 'mlp', gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}

/** The window is the same for all layers. */
function sameWindow(fields: Fields, numBlocks: number): LayerConfig[] {
  const window = fields.flag('use_sliding_window', false) ? readWindow(fields, DEFAULT_WINDOW) : undefined
  return equalLayers(numBlocks, { rope: 0, window })
}
