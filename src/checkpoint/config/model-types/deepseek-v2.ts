import { deepseekV3, denseFirst } from './deepseek-v3.ts'
import type { ModelTypeRow } from './row.ts'

export const deepseekV2: ModelTypeRow = {
  ...deepseekV3,
  defaults: { ...deepseekV3.defaults, maxPositions: 2048, bosTokenId: 1, eosTokenId: 2 },
  layers: (fields, numBlocks) => denseFirst(fields, numBlocks, 0),
}
