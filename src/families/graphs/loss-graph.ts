import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Graph } from '../../graph/builder.ts'
import { addGradients } from '../../graph/gradient/add-gradients.ts'
import { Layers } from '../../graph/layers.ts'
import { reshape, sub } from '../../graph/ops.ts'
import { constantLike, equal, filled, gatherElements, logSoftmax, where } from '../../graph/primitive-ops.ts'
import type { Value } from '../../graph/value.ts'
import { familyOf } from '../models/index.ts'
import { HIDDEN_GRADIENT, gradientName } from '../../graph/gradient-names.ts'

export interface LossGraphOptions {
  /** Whether there is a gradient with respect to the hidden states; true by default. */
  readonly hiddenGradient?: boolean | undefined
  /** Whether there are some with respect to the head's own parameters; false by default. */
  readonly headGradients?: boolean | undefined
}

/**
 * The graph of last norm, head and loss, and of the gradients that are asked for. Parameters have their full names.
 *
 * Inputs:
 * - `hidden` [tokens, hidden]: what the last block yields
 * - `targets` int64 [tokens]: the token that should come next
 * - `weights` float32 [tokens]: what each token counts; where it is 0, the target may be any number
 *
 * Outputs:
 * - `losses` float32 [tokens]: the cross entropy of each token (-log of the target's probability), 0 where its weight
 *   is
 * - `hidden_gradient` [tokens, hidden]: of the sum of weights times losses, with respect to `hidden`, if
 *   asked for
 * - `gradient:` and its name for each parameter of the head, of the parameter's shape, if asked for
 *
 * Throws `FamilyError`.
 */
export function buildLossGraph(
  config: ModelConfig,
  { hiddenGradient = true, headGradients = false }: LossGraphOptions = {},
): Graph {
  const family = familyOf(config)
  const graph = new Graph('loss')
  const hidden = graph.input('hidden', 'float32', ['tokens', config.hiddenSize])
  const targets = graph.input('targets', 'int64', ['tokens'])
  const weights = graph.input('weights', 'float32', ['tokens'])
  const layers = new Layers(graph, { device: 'cpu', dtype: 'float32', form: 'training' })
  const logits = family.head(layers, config, hidden)
  const losses = graph.scope('loss', () => crossEntropy(graph, logits, targets, weights))

  const head = headGradients ? headParameters(graph, family.names(config).head) : []
  graph.output('losses', losses)
  const wrt = [...(hiddenGradient ? [hidden] : []), ...head]
  // Weights are the derivatives of their products' sum.
  const gradients = addGradients(graph, { of: losses, given: weights, wrt })
  if (hiddenGradient) graph.output(HIDDEN_GRADIENT, gradients.get(hidden)!)
  for (const parameter of head) graph.output(gradientName(parameter.name), gradients.get(parameter)!)
  return graph
}

/** logits [tokens, vocab], by softmax in float32: [tokens]. */
function crossEntropy(g: Graph, logits: Value, targets: Value, weights: Value): Value {
  const [tokens = 1] = targets.shape
  const isUnused = equal(g, weights, constantLike(g, weights, 0, 'nothing'), 'is_unused')
  const anyTarget = where(g, isUnused, filled(g, 'any_target', 'int64', [1], 0), targets, 'targets')
  const places = reshape(g, anyTarget, [tokens, 1], 'places')
  const chosen = reshape(g, gatherElements(g, logSoftmax(g, logits, 'logarithms'), places, 'chosen'), [tokens], 'each')
  const zero = constantLike(g, chosen, 0, 'zero')
  return where(g, isUnused, zero, sub(g, zero, chosen, 'cross_entropy'), 'losses')
}

/** The values of the head's weight and, if it has one, its bias. */
function headParameters({ nodes }: Graph, weight: string): Value[] {
  const names = new Set([weight, weight.replace(/weight$/, 'bias')])
  const inputs = nodes.flatMap((node) => node.inputs.filter((input) => input !== undefined))
  return [...new Set(inputs.filter(({ name }) => names.has(name)))]
}
