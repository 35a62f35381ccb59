import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'

export type GatedMlpSize = Pick<ModelConfig, 'hiddenSize' | 'intermediateSize' | 'activation' | 'mlpBias'>

/**
 * Adds a gated MLP, down(act(gate(x)) * up(x)), with its parameters under `name.` (Shazeer, "GLU Variants Improve
 * Transformer"): x [rows, tokens, hidden] -> [rows, tokens, hidden].
 */
export function gatedMlp(
  layers: Layers,
  { hiddenSize, intermediateSize, activation, mlpBias: bias }: GatedMlpSize,
  x: Value,
  name = 'mlp',
): Value {
  const gate = layers.linear(x, `${name}.gate_proj`, intermediateSize, { bias })
  const up = layers.linear(x, `${name}.up_proj`, intermediateSize, { bias })
  const gated = layers.mul(layers.activation(gate, activation, `${name}.act_fn`), up, `${name}.gated`)
  return layers.linear(gated, `${name}.down_proj`, hiddenSize, { bias })
}

/** `gatedMlp` whose gate and up are one matrix, without biases. */
export function fusedGatedMlp(
  layers: Layers,
  { hiddenSize, intermediateSize, activation }: GatedMlpSize,
  x: Value,
): Value {
  const fused = layers.linear(x, 'mlp.gate_up_proj', 2 * intermediateSize, { bias: false })
  const [gate, up] = layers.split(fused, [intermediateSize, intermediateSize], 'mlp.split_gate_up')
  const gated = layers.mul(layers.activation(gate!, activation, 'mlp.activation_fn'), up!, 'mlp.gated')
  return layers.linear(gated, 'mlp.down_proj', hiddenSize, { bias: false })
}
