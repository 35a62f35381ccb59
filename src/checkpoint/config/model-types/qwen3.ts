import { qwen2, upperLayersWindowed } from './qwen2.ts'
import type { ModelTypeRow } from './row.ts'

export const qwen3: ModelTypeRow = {
  ...qwen2,
  defaults: { ...qwen2.defaults, headDim: 128 },
  layers: upperLayersWindowed,
}
