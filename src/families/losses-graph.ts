import type { ModelConfig } from '../checkpoint/config/config.ts'
import type { FinishedGraph } from '../graph/encode.ts'
import { onlyOutputs } from '../graph/only-outputs.ts'
import { buildLossGraph } from './loss-graph.ts'

/** `buildLossGraph` for evaluation: it yields `losses` and computes nothing else. Throws the same. */
export function buildLossesGraph(config: ModelConfig): FinishedGraph {
  return onlyOutputs(buildLossGraph(config), ['losses'])
}
