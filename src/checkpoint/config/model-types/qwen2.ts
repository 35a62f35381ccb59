import type { Fields } from '../fields.ts'
import { type LayerConfig, mixedLayers, readWindow } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

const DEFAULT_WINDOW = 4096
const DEFAULT_FULL_LAYERS = 28

export const qwen2: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'silu',
    maxPositions: 32_768,
    ropeTheta: 10000,
    tiedEmbeddings: false,
    bosTokenId: null,
    eosTokenId: null,
    numKvHeads: 32,
  },
  layers: upperLayersWindowed,
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}

/** If `use_sliding_window` is true, the layers from `max_window_layers` on are windowed. */
export function upperLayersWindowed(fields: Fields, numBlocks: number): LayerConfig[] {
  const window = fields.flag('use_sliding_window', false) ? readWindow(fields, DEFAULT_WINDOW) : undefined
  const firstWindowed = fields.count('max_window_layers', DEFAULT_FULL_LAYERS)
  return mixedLayers(fields, numBlocks, window, (block) => window !== undefined && block >= firstWindowed)
}
