import type { Fields } from '../fields.ts'
import type { LayerConfig } from '../layer-config.ts'
import type { RopeConfig, RopeSource } from '../rope.ts'

/** What transformers fills in for fields that a config of this model type leaves out. */
export interface ConfigDefaults {
  readonly normEps: number
  readonly activation: string
  readonly maxPositions: number
  readonly ropeTheta: number
  readonly tiedEmbeddings: boolean
  readonly bosTokenId: number | null
  readonly eosTokenId: number | readonly number[] | null
  /** Absent: the hidden size divided by the number of heads. */
  readonly headDim?: number
  /** Absent: the number of heads. */
  readonly numKvHeads?: number
  /** Whether attention's linear layers have biases; absent: no. */
  readonly attentionBias?: boolean
  /** The part of a head's channels that is rotated; absent: all of them. */
  readonly partialRotary?: number
}

/** How the config.json of one `model_type` differs from Llama's, whose field names are used here. */
export interface ModelTypeRow {
  readonly defaults: ConfigDefaults
  /** Fields with other names in this model type, and all of these names; the first one that the config has is read. */
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  /** Reads the intermediate size, if it is not the field `intermediate_size`. */
  readonly intermediateSize?: (fields: Fields, hiddenSize: number) => number
  /** Reads the number of key and value heads, if it is not the field `num_key_value_heads`. */
  readonly numKvHeads?: (fields: Fields, numHeads: number) => number
  /** Reads the channels of a head's keys in the cache, if they are not the field `head_dim`. */
  readonly headDim?: (fields: Fields) => number
  /** Reads the model's rotary embeddings; an empty list for other position embeddings. Absent: one for all layers. */
  readonly ropes?: (source: RopeSource) => RopeConfig[]
  /**
   * The most tokens of a session. Absent: `max_position_embeddings`, stretched by the scaling of the rotary embeddings.
   */
  readonly maxLength?: (maxPositions: number) => number
  /** Reads in what the layers differ. Absent: all have full attention and the first rotary embedding. */
  readonly layers?: (fields: Fields, numBlocks: number) => LayerConfig[]
  /**
   * Names, without a leading `model.` or the like, of the two tensors whose bytes go into the model's key: they differ
   * between a base model and its fine-tunes.
   */
  readonly finalNorm: string
  readonly embedding: string
  /** How a mixture of experts is stored; absent for models without. */
  readonly experts?: ExpertNames
  /** The name of the head, if it is not `HEAD`. */
  readonly head?: string
}

/** Names in a block: of the module that holds router and experts, and of each expert's three matrices. */
export interface ExpertNames {
  readonly module: string
  readonly gate: string
  readonly up: string
  readonly down: string
}

/** What most models call their head. */
export const HEAD = 'lm_head.weight'
