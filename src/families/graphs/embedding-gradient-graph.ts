import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Graph } from '../../graph/builder.ts'
import { GraphError } from '../../graph/errors.ts'
import { addGradients } from '../../graph/gradient/add-gradients.ts'
import { Layers } from '../../graph/layers.ts'
import { scale } from '../../graph/ops.ts'
import { familyOf } from '../models/index.ts'
import { HIDDEN_GRADIENT, OUTPUT_GRADIENT } from '../../graph/gradient-names.ts'

/**
 * The way back from the first block's input to the rows of the embedding's table, through what a family does with them:
 * `ids` int64 [1, tokens] and `output_gradient` [1, tokens, hidden] -> `hidden_gradient` [1, tokens, hidden].
 * Parameters have their full names. Throws `FamilyError`.
 */
export function buildEmbeddingGradientGraph(config: ModelConfig): Graph {
  const graph = new Graph('embedding_gradient')
  const ids = graph.input('ids', 'int64', [1, 'tokens'])
  const given = graph.input(OUTPUT_GRADIENT, 'float32', [1, 'tokens', config.hiddenSize])
  const layers = new Layers(graph, { device: 'cpu', dtype: 'float32', form: 'training' })
  const embedded = familyOf(config).embed(layers, config, ids)
  const rows = graph.nodes.find(({ inputs }) => inputs.includes(ids))?.outputs[0]
  if (rows === undefined) throw new GraphError('GRAPH_VALUE', 'graph embedding_gradient', 'no table is looked up')
  const gradient = addGradients(graph, { of: embedded, given, wrt: [rows] }).get(rows)!
  // An input cannot be an output at once, as it is where a family takes the rows as they are.
  graph.output(HIDDEN_GRADIENT, gradient === given ? scale(graph, given, 1, 'as_given') : gradient)
  return graph
}
