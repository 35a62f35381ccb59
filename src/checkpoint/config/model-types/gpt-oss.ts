import { mixedLayers, readWindow } from '../layer-config.ts'
import { parseRope } from '../rope.ts'
import type { ModelTypeRow } from './row.ts'

const DEFAULT_WINDOW = 128

/** The rotary embedding of a config that has none. */
const YARN = {
  rope_type: 'yarn',
  factor: 32,
  beta_fast: 32,
  beta_slow: 1,
  truncate: false,
  original_max_position_embeddings: 4096,
}

export const gptOss: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 131_072,
    ropeTheta: 150_000,
    tiedEmbeddings: false,
    bosTokenId: null,
    eosTokenId: null,
    headDim: 64,
    numKvHeads: 8,
    attentionBias: true,
  },
  ropes: ({ config, ...source }) => [
    parseRope({ ...source, config: { ...config, rope_parameters: config['rope_parameters'] ?? YARN } }),
  ],
  // Every other layer, the first one too, attends within a window.
  layers: (fields, numBlocks) =>
    mixedLayers(fields, numBlocks, readWindow(fields, DEFAULT_WINDOW), (block) => block % 2 === 0).map((layer) => ({
      ...layer,
      sparse: true,
    })),
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
