import { isJsonObject } from '../json.ts'
import { mixedLayers, readWindow } from '../layer-config.ts'
import { parseRope, type RopeConfig, type RopeSource } from '../rope.ts'
import { GEMMA_WINDOW, gemma2 } from './gemma2.ts'
import type { ModelTypeRow } from './row.ts'

/** The rotary embedding of layers with full attention; windowed layers have another one. */
const FULL = { rope: 0, type: 'full_attention', theta: 1_000_000 }
const WINDOWED = { rope: 1, type: 'sliding_attention', theta: 10_000 }

/** One layer in this many has full attention, the others are windowed. */
const DEFAULT_PATTERN = 6

export const gemma3Text: ModelTypeRow = {
  ...gemma2,
  defaults: { ...gemma2.defaults, maxPositions: 131_072, ropeTheta: FULL.theta },
  ropes: (source) => [ropeOf(source, FULL, 'rope_theta'), ropeOf(source, WINDOWED, 'rope_local_base_freq')],
  // max_position_embeddings already includes the stretching by the scaled rotary embedding.
  maxLength: (maxPositions) => maxPositions,
  layers(fields, numBlocks) {
    const pattern = fields.size('sliding_window_pattern', fields.size('_sliding_window_pattern', DEFAULT_PATTERN))
    return mixedLayers(fields, numBlocks, readWindow(fields, GEMMA_WINDOW), (block) => (block + 1) % pattern !== 0).map(
      (layer) => ({ ...layer, rope: (layer.window === undefined ? FULL : WINDOWED).rope }),
    )
  },
}

/**
 * Reads the rotary embedding of one type of layer. transformers 5 writes a set of `rope_parameters` for each type;
 * transformers 4 wrote one `rope_scaling`, for full layers, and a base for each type.
 */
function ropeOf({ config, ...source }: RopeSource, { rope, type, theta }: typeof FULL, thetaName: string): RopeConfig {
  const { rope_parameters: all, rope_scaling: scaling, ...rest } = config
  const own = isJsonObject(all) ? all[type] : undefined
  const parameters = {
    rope_theta: config[thetaName] ?? theta,
    ...(isJsonObject(own) ? own : {}),
    ...(rope === FULL.rope && isJsonObject(scaling) ? scaling : {}),
  }
  return parseRope({ ...source, config: { ...rest, rope_parameters: parameters } })
}
