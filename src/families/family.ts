import type { ModelConfig } from '../checkpoint/config/config.ts'
import type { LayerConfig } from '../checkpoint/config/layer-config.ts'
import type { AttentionOptions, Projections } from '../graph/attention.ts'
import type { Layers } from '../graph/layers.ts'
import type { Value } from '../graph/value.ts'

/** What the checkpoint calls things. */
export interface FamilyNames {
  /** What the names of a block's tensors begin with, e.g. `model.layers.3.`. */
  blockPrefix(block: number): string
  /** Full names of tensors. The head is the embedding where the two are tied. */
  readonly embedding: string
  readonly finalNorm: string
  readonly head: string
  /** Tensors that some checkpoints hold and no graph uses. */
  readonly ignored: readonly RegExp[]
}

/** What a block is built on. */
export interface BlockInputs {
  /** [rows, tokens, hidden] */
  readonly hidden: Value
  /** In what this block differs from others of the model. */
  readonly layer: LayerConfig
  /**
   * Causal attention over the session's past, with the layer's window and rotary embedding:
   * queries [rows, tokens, heads * headDim] -> the same.
   */
  attend(projections: Projections, options?: Omit<AttentionOptions, 'window'>): Value
}

/** A model architecture, written once; what its layers and attention become on a device is the lowering's matter. */
export interface Family {
  /** Throws `FAMILY_UNSUPPORTED`, naming the option, its value and what is supported. */
  check(config: ModelConfig): void
  names(config: ModelConfig): FamilyNames
  /** int64 [rows, tokens] -> [rows, tokens, hidden] */
  embed(layers: Layers, config: ModelConfig, ids: Value): Value
  /** Parameters are named relative to the block's prefix. Returns the next block's hidden states. */
  block(layers: Layers, config: ModelConfig, inputs: BlockInputs): Value
  /** The last norm: [tokens, hidden] -> the same. */
  norm(layers: Layers, config: ModelConfig, hidden: Value): Value
  /** Last norm and head: [tokens, hidden] -> [tokens, vocab] */
  head(layers: Layers, config: ModelConfig, hidden: Value): Value
}
