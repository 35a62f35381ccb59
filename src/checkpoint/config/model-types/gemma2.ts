import { mixedLayers, readWindow } from '../layer-config.ts'
import type { ModelTypeRow } from './row.ts'

export const GEMMA_WINDOW = 4096

export const gemma2: ModelTypeRow = {
  defaults: {
    normEps: 1e-6,
    activation: 'gelu_pytorch_tanh',
    maxPositions: 8192,
    ropeTheta: 10000,
    tiedEmbeddings: true,
    bosTokenId: 2,
    eosTokenId: 1,
    headDim: 256,
    numKvHeads: 4,
  },
  aliases: { hidden_act: ['hidden_activation'] },
  layers: (fields, numBlocks) =>
    mixedLayers(fields, numBlocks, readWindow(fields, GEMMA_WINDOW), (block) => block % 2 === 0),
  finalNorm: 'norm.weight',
  embedding: 'embed_tokens.weight',
}
