import type { Fields } from '../fields.ts'
import { equalLayers, type LayerConfig } from '../layer-config.ts'
import { parseRope, type RopeConfig, type RopeSource } from '../rope.ts'
import type { ModelTypeRow } from './row.ts'

/** Widths of latent attention where a config leaves them out. */
const ROPE_DIM = 64
const LATENT_DIM = 512

/** The first blocks of a model that have an MLP in place of experts, where a config leaves their number out. */
const DENSE_BLOCKS = 3

export const deepseekV3: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'silu',
    maxPositions: 4096,
    ropeTheta: 10000,
    tiedEmbeddings: false,
    bosTokenId: 0,
    eosTokenId: 1,
  },
  // All heads attend to the same keys and values: the latent that they are made of, and what is rotated of keys.
  numKvHeads: () => 1,
  headDim: (fields) => fields.size('qk_rope_head_dim', ROPE_DIM) + fields.size('kv_lora_rank', LATENT_DIM),
  ropes: latentRope,
  layers: (fields, numBlocks) => denseFirst(fields, numBlocks, DENSE_BLOCKS),
  experts: { module: 'mlp', gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}

/** A rotary embedding of the channels that heads have for it beside others. */
function latentRope({ config, ...source }: RopeSource): RopeConfig[] {
  const width = config['qk_rope_head_dim'] ?? ROPE_DIM
  return [parseRope({ ...source, config, headDim: Number(width) })]
}

/** The first `first_k_dense_replace` layers have an MLP, the others experts. */
export function denseFirst(fields: Fields, numBlocks: number, dense: number): LayerConfig[] {
  const first = fields.count('first_k_dense_replace', dense)
  return equalLayers(numBlocks).map((layer, block) => ({ ...layer, sparse: block >= first }))
}
