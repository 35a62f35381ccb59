import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { blockGraphs } from '../../families/graphs/graphs.ts'
import type { Graph } from '../../graph/builder.ts'
import type { Target } from '../../graph/lowering.ts'
import { numElements } from '../../tensor/tensor.ts'

/** Multiplications of one piece: some tens of milliseconds on a few cores, which a decode step may have to wait for. */
const PIECE_WORK = 1e9

/** Runs of more tokens are no quicker. */
const MAX_PIECE_TOKENS = 1024

/**
 * The most tokens of one run of a forward or backward pass: more than a prefill chunk where blocks are small, since
 * each run takes some time of its own. A device has room for a prefill chunk only.
 */
export function passPieceTokens(config: ModelConfig, { device }: Pick<Target, 'device'>, chunkTokens: number): number {
  if (device !== 'cpu') return chunkTokens
  const graphs = new Set(blockGraphs(config, { device, dtype: 'float32' }))
  const weights = Math.max(...[...graphs].map(numWeights))
  return Math.max(chunkTokens, Math.min(MAX_PIECE_TOKENS, Math.floor(PIECE_WORK / weights)))
}

function numWeights({ parameters }: Pick<Graph, 'parameters'>): number {
  return parameters.reduce((sum, { shape }) => sum + numElements(shape), 0)
}
