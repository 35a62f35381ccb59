import { mixedLayers, readWindow } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

const DEFAULT_WINDOW = 4096

/** One layer in this many has full attention, the others are windowed. */
const DEFAULT_PATTERN = 4

export const exaone4: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 2048,
    ropeTheta: 10_000,
    tiedEmbeddings: false,
    bosTokenId: 0,
    eosTokenId: 2,
    numKvHeads: 32,
  },
  layers(fields, numBlocks) {
    const window = readWindow(fields, DEFAULT_WINDOW)
    // Where layers are listed, the pattern may be a text.
    const pattern =
      fields.get('layer_types') === undefined ? fields.size('sliding_window_pattern', DEFAULT_PATTERN) : DEFAULT_PATTERN
    const isWindowed = (block: number) => window !== undefined && (block + 1) % pattern !== 0
    return mixedLayers(fields, numBlocks, window, isWindowed).map((layer) => ({
      ...layer,
      rope: window === undefined || layer.window !== undefined ? 0 : undefined,
    }))
  },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
