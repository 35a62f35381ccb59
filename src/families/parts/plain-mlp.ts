import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'

/** The names of an MLP's two matrices, and whether they have biases. */
export interface PlainMlp {
  readonly up: string
  readonly down: string
  readonly bias: boolean
}

/** Adds an MLP without a gate, down(act(up(x))): x [rows, tokens, hidden] -> [rows, tokens, hidden]. */
export function plainMlp(
  layers: Layers,
  { hiddenSize, intermediateSize, activation }: Pick<ModelConfig, 'hiddenSize' | 'intermediateSize' | 'activation'>,
  x: Value,
  { up, down, bias }: PlainMlp,
): Value {
  const wide = layers.activation(layers.linear(x, up, intermediateSize, { bias }), activation, 'mlp.act_fn')
  return layers.linear(wide, down, hiddenSize, { bias })
}
