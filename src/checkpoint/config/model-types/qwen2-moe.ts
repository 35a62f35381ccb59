import type { Fields } from '../fields.ts'
import { type LayerConfig, mixedLayers, readWindow } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'
import { sparseLayers } from './sparse-layers.ts'

const DEFAULT_WINDOW = 4096
const DEFAULT_WINDOWED_LAYERS = 28

export const qwen2Moe: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'silu',
    maxPositions: 32_768,
    ropeTheta: 10000,
    tiedEmbeddings: false,
    bosTokenId: null,
    eosTokenId: null,
    numKvHeads: 16,
  },
  layers: (fields, numBlocks) => sparseLayers(fields, lowerLayersWindowed(fields, numBlocks)),
  experts: { module: 'mlp', gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}

/** If `use_sliding_window` is true, every other one of the layers before `max_window_layers` is windowed. */
function lowerLayersWindowed(fields: Fields, numBlocks: number): LayerConfig[] {
  const window = fields.flag('use_sliding_window', false) ? readWindow(fields, DEFAULT_WINDOW) : undefined
  const end = fields.count('max_window_layers', DEFAULT_WINDOWED_LAYERS)
  return mixedLayers(fields, numBlocks, window, (block) => window !== undefined && block % 2 === 0 && block < end)
}
