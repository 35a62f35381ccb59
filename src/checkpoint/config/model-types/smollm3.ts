import type { Fields } from '../fields.ts'
import { type LayerConfig, mixedLayers, readWindow } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

/** One layer in this many has no rotary embedding. */
const DEFAULT_INTERVAL = 4

export const smollm3: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'silu',
    maxPositions: 32_768,
    ropeTheta: 2_000_000,
    tiedEmbeddings: true,
    bosTokenId: 128_000,
    eosTokenId: 128_001,
    numKvHeads: 4,
  },
  layers: partlyRotated,
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}

/**
 * `no_rope_layers` has, despite its name, a 1 for each layer with a rotary embedding and a 0 for each without. If
 * `use_sliding_window` is true, those without are windowed.
 */
function partlyRotated(fields: Fields, numBlocks: number): LayerConfig[] {
  const interval = fields.size('no_rope_layer_interval', DEFAULT_INTERVAL)
  const listed = fields.get('no_rope_layers') === undefined ? undefined : fields.counts('no_rope_layers')
  if (listed !== undefined && listed.length < numBlocks)
    fields.fail('no_rope_layers', `must have an entry for each of the ${numBlocks} layers`)
  const isRotated = (block: number) => (listed === undefined ? (block + 1) % interval !== 0 : listed[block] !== 0)
  const window = readWindow(fields)
  const windowed = fields.flag('use_sliding_window', false) && window !== undefined
  return mixedLayers(fields, numBlocks, window, (block) => windowed && !isRotated(block)).map((layer, block) => ({
    ...layer,
    rope: isRotated(block) ? 0 : undefined,
  }))
}
