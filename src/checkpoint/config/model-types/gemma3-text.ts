import { mixedLayers, readWindow } from '../layer-config.ts'
import { GEMMA_WINDOW, gemma2 } from './gemma2.ts'
import { FULL_ROPE, parseLayerRope, WINDOWED_ROPE } from './layer-ropes.ts'
import type { ModelTypeRow } from './row.ts'

/** The rotary embedding of layers with full attention; windowed layers have another one. */
const FULL = { rope: FULL_ROPE, type: 'full_attention', theta: 1_000_000, thetaField: 'rope_theta' }
const WINDOWED = {
  rope: WINDOWED_ROPE,
  type: 'sliding_attention',
  theta: 10_000,
  thetaField: 'rope_local_base_freq',
}

/** One layer in this many has full attention, the others are windowed. */
const DEFAULT_PATTERN = 6

export const gemma3Text: ModelTypeRow = {
  ...gemma2,
  defaults: { ...gemma2.defaults, maxPositions: 131_072, ropeTheta: FULL.theta },
  ropes: (source) => [FULL, WINDOWED].map((layer) => parseLayerRope(source, layer)),
  // max_position_embeddings already includes the stretching by the scaled rotary embedding.
  maxLength: (maxPositions) => maxPositions,
  layers(fields, numBlocks) {
    const pattern = fields.size('sliding_window_pattern', fields.size('_sliding_window_pattern', DEFAULT_PATTERN))
    return mixedLayers(fields, numBlocks, readWindow(fields, GEMMA_WINDOW), (block) => (block + 1) % pattern !== 0).map(
      (layer) => ({ ...layer, rope: (layer.window === undefined ? FULL : WINDOWED).rope }),
    )
  },
}
