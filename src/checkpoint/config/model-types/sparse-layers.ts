import type { Fields } from '../fields.ts'
import type { LayerConfig } from '../layer-config.ts'

/** Layers of which every `decoder_sparse_step`-th has experts, except those in `mlp_only_layers`. */
export function sparseLayers(fields: Fields, layers: readonly LayerConfig[]): LayerConfig[] {
  const step = fields.size('decoder_sparse_step', 1)
  const dense = new Set(fields.counts('mlp_only_layers'))
  return layers.map((layer, block) => ({ ...layer, sparse: (block + 1) % step === 0 && !dense.has(block) }))
}
