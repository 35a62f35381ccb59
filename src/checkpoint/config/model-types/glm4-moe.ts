import { parseRope } from '../rope.ts'
import { denseFirst } from './deepseek-v3.ts'
import type { ModelTypeRow } from './row.ts'

/** The part of a head's channels that is rotated. */
const PARTIAL_ROTARY = 0.5

export const glm4Moe: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'silu',
    maxPositions: 131_072,
    ropeTheta: 10000,
    tiedEmbeddings: false,
    bosTokenId: null,
    eosTokenId: null,
    numKvHeads: 8,
  },
  ropes: ({ config, ...source }) => [
    parseRope({ ...source, config: { partial_rotary_factor: PARTIAL_ROTARY, ...config } }),
  ],
  layers: (fields, numBlocks) => denseFirst(fields, numBlocks, 1),
  experts: { module: 'mlp', gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
