import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Graph } from '../../graph/builder.ts'
import { addGradients } from '../../graph/gradient/add-gradients.ts'
import { Layers } from '../../graph/layers.ts'
import { familyOf } from '../models/index.ts'
import { HIDDEN_GRADIENT, OUTPUT_GRADIENT } from '../../graph/gradient-names.ts'

/**
 * The last norm's way back: `hidden` [tokens, hidden], its input, and `output_gradient` [tokens, hidden] ->
 * `hidden_gradient` [tokens, hidden]. Parameters have their full names. Throws `FamilyError`.
 */
export function buildNormGradientGraph(config: ModelConfig): Graph {
  const graph = new Graph('norm_gradient')
  const hidden = graph.input('hidden', 'float32', ['tokens', config.hiddenSize])
  const given = graph.input(OUTPUT_GRADIENT, 'float32', ['tokens', config.hiddenSize])
  const layers = new Layers(graph, { device: 'cpu', dtype: 'float32', form: 'training' })
  const normed = familyOf(config).norm(layers, config, hidden)
  graph.output(HIDDEN_GRADIENT, addGradients(graph, { of: normed, given, wrt: [hidden] }).get(hidden)!)
  return graph
}
