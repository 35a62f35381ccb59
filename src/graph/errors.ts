import { PetalsError } from '../base/errors.ts'

/**
 * What can be wrong with a graph:
 * - `GRAPH_SHAPE`, `GRAPH_DTYPE`: operands that do not fit a node
 * - `GRAPH_NAME`: a name that is taken
 * - `GRAPH_VALUE`: a value that does not belong to the graph, or cannot be an output
 * - `GRAPH_PARAMETER`: inline parameters that are missing or do not fit when the graph is encoded
 * - `GRAPH_UNSUPPORTED`: a device, dtype or activation for which there are no kernels, an operator without gradient
 */
export type GraphErrorCode =
  | 'GRAPH_SHAPE'
  | 'GRAPH_DTYPE'
  | 'GRAPH_NAME'
  | 'GRAPH_VALUE'
  | 'GRAPH_PARAMETER'
  | 'GRAPH_UNSUPPORTED'

/** A graph that cannot be built or encoded. `subject` names what the problem is with, e.g. a node. */
export class GraphError extends PetalsError {
  declare readonly code: GraphErrorCode

  constructor(code: GraphErrorCode, subject: string, problem: string) {
    super(code, `${subject}: ${problem}`)
  }
}
