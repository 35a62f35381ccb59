import { mixedLayers, readWindow } from '../layer-config.ts'
import { cohere } from './cohere.ts'
import type { ModelTypeRow } from './row.ts'

const DEFAULT_WINDOW = 4096

/** One layer in this many has full attention, the others are windowed. */
const DEFAULT_PATTERN = 4

export const cohere2: ModelTypeRow = {
  ...cohere,
  defaults: { ...cohere.defaults, ropeTheta: 10_000 },
  layers(fields, numBlocks) {
    const pattern = fields.size('sliding_window_pattern', DEFAULT_PATTERN)
    const window = readWindow(fields, DEFAULT_WINDOW)
    // Layers with full attention have no rotary embedding.
    return mixedLayers(fields, numBlocks, window, (block) => (block + 1) % pattern !== 0).map((layer) => ({
      ...layer,
      rope: layer.window === undefined ? undefined : 0,
    }))
  },
}
