import type { Fields } from '../fields.ts'
import { equalLayers, type LayerConfig, readWindow } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

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
  layers: sparseLayers,
  experts: { module: 'mlp', gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}

/**
 * Every `decoder_sparse_step`-th layer has experts, except those in `mlp_only_layers`; the window is the same for all
 * layers.
 */
function sparseLayers(fields: Fields, numBlocks: number): LayerConfig[] {
  const window = fields.flag('use_sliding_window', false) ? readWindow(fields, DEFAULT_WINDOW) : undefined
  const step = fields.size('decoder_sparse_step', 1)
  const dense = new Set(fields.counts('mlp_only_layers'))
  return equalLayers(numBlocks).map((layer, block) => ({
    ...layer,
    window,
    sparse: (block + 1) % step === 0 && !dense.has(block),
  }))
}
