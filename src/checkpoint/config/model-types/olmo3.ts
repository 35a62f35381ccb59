import { mixedLayers, readWindow } from '../layer-config.ts'
import { FULL_ROPE, parseLayerRope, WINDOWED_ROPE } from './layer-ropes.ts'
import { olmo2 } from './olmo2.ts'
import type { ModelTypeRow } from './row.ts'

const THETA = 500_000
const DEFAULT_WINDOW = 4096

/** One layer in this many has full attention, the others are windowed. */
const PATTERN = 4

/** Only layers with full attention have a scaled rotary embedding. */
const FULL = { rope: FULL_ROPE, type: 'full_attention', theta: THETA, thetaField: 'rope_theta' }
const WINDOWED = { ...FULL, rope: WINDOWED_ROPE, type: 'sliding_attention' }

export const olmo3: ModelTypeRow = {
  ...olmo2,
  defaults: { ...olmo2.defaults, ropeTheta: THETA },
  ropes: (source) => [FULL, WINDOWED].map((layer) => parseLayerRope(source, layer)),
  layers: (fields, numBlocks) =>
    mixedLayers(fields, numBlocks, readWindow(fields, DEFAULT_WINDOW), (block) => (block + 1) % PATTERN !== 0).map(
      (layer) => ({ ...layer, rope: layer.window === undefined ? FULL_ROPE : WINDOWED_ROPE }),
    ),
}
