import type { ModelConfig } from '../checkpoint/config/config.ts'
import { Graph } from '../graph/builder.ts'
import { addGradients } from '../graph/gradient/add-gradients.ts'
import { crossEntropy } from '../graph/gradient/cross-entropy.ts'
import { Layers } from '../graph/layers.ts'
import type { Value } from '../graph/value.ts'
import { familyOf } from './index.ts'

/** What clients train with: float32 on a CPU, of operators that have gradients. */
const TARGET = { device: 'cpu', dtype: 'float32', form: 'training' } as const

/**
 * Last norm, head and the loss of the next token: `hidden` [tokens, hidden], `targets` int64 [tokens] and `weights`
 * [tokens] -> `losses` [tokens], the cross entropy in nats, 0 where the weight is 0; with `gradient` also
 * `hidden_gradient` [tokens, hidden], that of the sum of weights * losses. Parameters have their full names. Throws
 * `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildLossGraph(config: ModelConfig, { gradient }: { readonly gradient: boolean }): Graph {
  const graph = new Graph('loss')
  const hidden = graph.input('hidden', 'float32', ['tokens', config.hiddenSize])
  const targets = graph.input('targets', 'int64', ['tokens'])
  const weights = graph.input('weights', 'float32', ['tokens'])
  const logits = familyOf(config).head(new Layers(graph, TARGET), config, hidden)
  const loss = crossEntropy(graph, logits, targets, weights)
  graph.output('losses', loss.losses)
  if (gradient) outputGradient(graph, { of: logits, given: loss.gradient, hidden })
  return graph
}

/**
 * The last norm's way back: `hidden` [tokens, hidden], its input, and `output_gradient` [tokens, hidden] ->
 * `hidden_gradient` [tokens, hidden]. Throws as `buildLossGraph`.
 */
export function buildNormGradientGraph(config: ModelConfig): Graph {
  const graph = new Graph('norm_gradient')
  const hidden = graph.input('hidden', 'float32', ['tokens', config.hiddenSize])
  const given = graph.input('output_gradient', 'float32', ['tokens', config.hiddenSize])
  const normed = familyOf(config).norm(new Layers(graph, TARGET), config, hidden)
  outputGradient(graph, { of: normed, given, hidden })
  return graph
}

function outputGradient(
  graph: Graph,
  { of, given, hidden }: { readonly of: Value; readonly given: Value; readonly hidden: Value },
): void {
  graph.output('hidden_gradient', addGradients(graph, { of, given, wrt: [hidden] }).get(hidden)!)
}
