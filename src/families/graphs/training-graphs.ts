import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { Graph } from '../../graph/builder.ts'
import { addGradients } from '../../graph/gradient/add-gradients.ts'
import { splitAtGradient } from '../../graph/gradient/split-at-gradient.ts'
import { loraInputNames } from '../../graph/lora.ts'
import { Layers } from '../../graph/layers.ts'
import type { FinishedGraph } from '../../graph/encode.ts'
import type { Target } from '../../graph/lowering.ts'
import type { Parameter } from '../../graph/parameter.ts'
import type { Value } from '../../graph/value.ts'
import { wholeAttention } from '../../graph/whole-attention.ts'
import { ofEachBlock } from './graphs.ts'
import { familyOf } from '../models/index.ts'
import { ropeInputs } from './input-names.ts'
import { HIDDEN_GRADIENT, OUTPUT_GRADIENT, gradientName } from '../../graph/gradient-names.ts'

/** What a training graph is built for: its form is always that of training. */
export type TrainingTarget = Omit<Target, 'form' | 'kvDType'>

/** A block's forward and backward passes. Equal blocks share one. */
export interface TrainingGraphs {
  /** From the inputs of `buildTrainingGraph` to `output` and the values of `saved`, by their names. */
  readonly forward: FinishedGraph
  /**
   * From `output_gradient` [rows, tokens, hidden], the saved values and those of the forward pass's inputs that it
   * needs to `hidden_gradient` [rows, tokens, hidden] and, if the target has adapters, `gradient:` and the name of each
   * of their inputs, summed over rows and tokens.
   */
  readonly backward: FinishedGraph
  /** What the backward pass takes of the forward pass. */
  readonly saved: readonly Value[]
  /** As `backward`, from `output_gradient` and the forward pass's inputs alone. */
  readonly both: FinishedGraph
  /** All parameters of either pass; each takes those that it names (see `encodeWithoutWeights`). */
  readonly weights: readonly Parameter[]
}

/** The passes of blocks `start` to `end`, `end` not included. Throws as `buildTrainingGraph`. */
export function trainingGraphs(
  config: ModelConfig,
  target: TrainingTarget,
  start = 0,
  end = config.numBlocks,
): TrainingGraphs[] {
  return ofEachBlock(config, start, end, (block) => passesOf(buildTrainingGraph(config, target, block)))
}

function passesOf(graph: Graph): TrainingGraphs {
  const { value: output } = graph.outputs[0]!
  const given = graph.input(OUTPUT_GRADIENT, 'float32', output.shape)
  const wanted = [
    { name: HIDDEN_GRADIENT, input: 'hidden' },
    ...loraInputNames(graph).map((input) => ({ name: gradientName(input), input })),
  ].map(({ name, input }) => ({ name, value: graph.inputs.find((one) => one.name === input)! }))
  const found = addGradients(graph, { of: output, given, wrt: wanted.map(({ value }) => value) })
  const gradients = new Map(wanted.map(({ name, value }) => [name, found.get(value)!]))
  const passes = splitAtGradient(graph, { forwardOutputs: new Map([['output', output]]), given, gradients })
  return { ...passes, weights: graph.parameters }
}

/**
 * The graph of one block for training: whole sequences without a cache, of operators that have gradients. Parameters
 * are named relative to the block's prefix and are all float32: of quantized matrices it takes the values that
 * inference computes with.
 *
 * Inputs:
 * - `hidden` [rows, tokens, hidden]: each row begins at position 0; rows that are shorter are padded on the right
 * - cos and sin [tokens, rotaryDim / 2], named by `ropeInputs`, if the block has a rotary embedding
 * - the matrices of one adapter, which all rows have, named by `loraInputs`, if the target has adapters: A [ranks, in],
 *   B [ranks, out], already scaled, all of the same ranks
 *
 * Output: `output` [rows, tokens, hidden].
 *
 * Throws `FamilyError` and `GRAPH_UNSUPPORTED`.
 */
export function buildTrainingGraph(config: ModelConfig, target: TrainingTarget, block: number): Graph {
  const family = familyOf(config)
  const layer = config.layers[block]!
  const graph = new Graph('training_block')
  const layers = new Layers(graph, { ...target, form: 'training', stored: config.storedQuant })
  const hidden = graph.input('hidden', 'float32', ['rows', 'tokens', config.hiddenSize])
  const rope = layer.rope === undefined ? undefined : { ...ropeInputs(layer.rope), ...config.ropes[layer.rope]! }
  const table = (name: string, rotaryDim: number) => graph.input(name, 'float32', ['tokens', rotaryDim / 2])
  const rotary = rope && { cos: table(rope.cos, rope.rotaryDim), sin: table(rope.sin, rope.rotaryDim) }
  const heads = { ...config, rotaryDim: rope?.rotaryDim ?? 0 }
  const output = family.block(layers, config, {
    hidden,
    layer,
    attend: (projections, options) =>
      graph.scope('self_attn', () =>
        wholeAttention(graph, heads, projections, rotary, { ...options, window: layer.window }),
      ),
  })
  graph.output('output', output)
  return graph
}
