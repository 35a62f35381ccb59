import { windowLayers } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

export const starcoder2: ModelTypeRow = {
  defaults: {
    normEps: 1e-5,
    activation: 'gelu_pytorch_tanh',
    maxPositions: 4096,
    ropeTheta: 10_000,
    tiedEmbeddings: true,
    bosTokenId: 50_256,
    eosTokenId: 50_256,
    numKvHeads: 2,
  },
  aliases: { rms_norm_eps: ['norm_epsilon'] },
  layers: (fields, numBlocks) => windowLayers(fields, numBlocks),
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
