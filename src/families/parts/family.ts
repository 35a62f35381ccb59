import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { LayerConfig } from '../../checkpoint/config/layer-config.ts'
import type { AttentionOptions, Projections } from '../../graph/attention.ts'
import type { Layers } from '../../graph/layers.ts'
import type { Value } from '../../graph/value.ts'

/** The names of a family's tensors in checkpoints. */
export interface FamilyNames {
  /** The prefix of the names of a block's tensors, e.g. `model.layers.3.`. */
  blockPrefix(block: number): string
  /** Full names of tensors. If embedding and head are tied, the head's tensor is the embedding's. */
  readonly embedding: string
  readonly finalNorm: string
  readonly head: string
  /** Tensors that some checkpoints contain and no graph uses. */
  readonly ignored: readonly RegExp[]
}

/** What a block's graph is built from. */
export interface BlockInputs {
  /** [rows, tokens, hidden] */
  readonly hidden: Value
  /** In what this block differs from the model's other blocks. */
  readonly layer: LayerConfig
  /**
   * Adds causal attention over the session's KV cache, with the layer's window and rotary embedding. Returns [rows,
   * tokens, heads * headDim].
   */
  attend(projections: Projections, options?: Omit<AttentionOptions, 'window'>): Value
}

/**
 * A model architecture, described once for all devices: the lowering decides how its layers and attention are computed
 * on a device.
 */
export interface Family {
  /**
   * Throws `FAMILY_UNSUPPORTED` for a config that this family cannot compute, naming the option, its value and what is
   * supported.
   */
  check(config: ModelConfig): void
  names(config: ModelConfig): FamilyNames
  /** Whether attention's scores have a soft cap; not where absent. */
  softcapped?(config: ModelConfig): boolean
  /** The embedding: ids int64 [rows, tokens] -> [rows, tokens, hidden]. */
  embed(layers: Layers, config: ModelConfig, ids: Value): Value
  /** A block: returns the hidden states for the next block. Parameters are named relative to the block's prefix. */
  block(layers: Layers, config: ModelConfig, inputs: BlockInputs): Value
  /** The last norm: [tokens, hidden] -> the same. */
  norm(layers: Layers, config: ModelConfig, hidden: Value): Value
  /** The last norm and the head: [tokens, hidden] -> logits [tokens, vocab]. */
  head(layers: Layers, config: ModelConfig, hidden: Value): Value
}
