import type { Fields } from './fields.ts'

/**
 * Everything in which the layers of one model can differ: layers with equal `LayerConfig`s share a graph. Plain data.
 */
export interface LayerConfig {
  /**
   * Index into `ModelConfig.ropes` of the rotary embedding that the layer uses; absent for other position embeddings.
   */
  readonly rope?: number | undefined
  /**
   * The sliding window: how many positions a token attends to, its own included. Absent: to all positions before it.
   */
  readonly window?: number | undefined
  /** Whether the layer's MLP is a mixture of experts. */
  readonly sparse?: boolean | undefined
}

/**
 * Caches of layers with a window keep so many positions behind it: a sequence can be cut back by as many without
 * anything being computed again.
 */
export const WINDOW_MARGIN_TOKENS = 128

/** The layers of a model whose layers are all alike. */
export function equalLayers(numBlocks: number, layer: LayerConfig = { rope: 0 }): LayerConfig[] {
  return Array.from({ length: numBlocks }, () => layer)
}

/** The layers of a model in which every layer attends within `sliding_window`, if the config has one. */
export function windowLayers(fields: Fields, numBlocks: number, defaultWindow?: number): LayerConfig[] {
  return equalLayers(numBlocks, { rope: 0, window: readWindow(fields, defaultWindow) })
}

/**
 * The layers of a model that mixes full and windowed attention: as `layer_types` lists them or, if it is absent, as
 * `isWindowed` says. Throws `CHECKPOINT_CONFIG` for other types of layers, and for windowed layers if `window` is
 * undefined.
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

/** Reads `sliding_window`: undefined (no window) if it is null, and if it is absent and there is no default. */
export function readWindow(fields: Fields, defaultWindow?: number): number | undefined {
  if (fields.has('sliding_window') && fields.get('sliding_window') === undefined) return undefined
  if (fields.get('sliding_window') === undefined && defaultWindow === undefined) return undefined
  return fields.size('sliding_window', defaultWindow)
}
