import type { Fields } from './fields.ts'

/** In what the layers of one model differ. Layers that are equal in this have the same graph. Plain data. */
export interface LayerConfig {
  /** Which of the model's rotary embeddings it uses; none where positions enter otherwise. */
  readonly rope?: number | undefined
  /** Its sliding window: how many positions it attends to, its own included; all before it where not given. */
  readonly window?: number | undefined
  /** Whether its MLP is a mixture of experts. */
  readonly sparse?: boolean | undefined
}

/** The layers of a model that are all alike. */
export function equalLayers(numBlocks: number, layer: LayerConfig = { rope: 0 }): LayerConfig[] {
  return Array.from({ length: numBlocks }, () => layer)
}

/** Every layer attends within `sliding_window`, if there is one. */
export function windowLayers(fields: Fields, numBlocks: number, defaultWindow?: number): LayerConfig[] {
  return equalLayers(numBlocks, { rope: 0, window: readWindow(fields, defaultWindow) })
}

/**
 * Layers of full and of windowed attention, as `layer_types` lists them; where it does not, `isWindowed` tells.
 * Throws `CHECKPOINT_CONFIG` for other types of layers and for windowed ones without a `sliding_window`.
 */
export function mixedLayers(
  fields: Fields,
  numBlocks: number,
  window: number | undefined,
  isWindowed: (block: number) => boolean,
): LayerConfig[] {
  const types = fields.texts('layer_types', numBlocks, ['full_attention', 'sliding_attention'])
  return equalLayers(numBlocks).map((layer, block) => {
    const windowed = types === undefined ? isWindowed(block) : types[block] === 'sliding_attention'
    if (!windowed) return layer
    return {
      ...layer,
      window: window ?? fields.fail('sliding_window', 'must be given where layers attend within a window'),
    }
  })
}

/** `sliding_window`: null means none, and so does its absence unless there is a default. */
export function readWindow(fields: Fields, defaultWindow?: number): number | undefined {
  if (fields.has('sliding_window') && fields.get('sliding_window') === undefined) return undefined
  if (fields.get('sliding_window') === undefined && defaultWindow === undefined) return undefined
  return fields.size('sliding_window', defaultWindow)
}
