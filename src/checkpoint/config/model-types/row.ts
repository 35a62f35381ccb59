import type { Fields } from '../fields.ts'
import type { LayerConfig } from '../layer-config.ts'
import type { RopeConfig, RopeSource } from '../rope.ts'

/** What transformers fills in where a config of this model type leaves a field out. */
export interface ConfigDefaults {
  readonly normEps: number
  readonly activation: string
  readonly maxPositions: number
  readonly ropeTheta: number
  readonly tiedEmbeddings: boolean
  readonly bosTokenId: number | null
  readonly eosTokenId: number | null
  /** The hidden size over the number of heads where not given. */
  readonly headDim?: number
  /** The number of heads where not given. */
  readonly numKvHeads?: number
}

/** What a `model_type`'s config.json says in its own way. All fields are named as in Llama's. */
export interface ModelTypeRow {
  readonly defaults: ConfigDefaults
  /** Fields that are called otherwise here, with all their names; the first that is given counts. */
  readonly aliases?: Readonly<Record<string, readonly string[]>>
  /** Where it is not `intermediate_size`. */
  readonly intermediateSize?: (fields: Fields, hiddenSize: number) => number
  /** Where it is not `num_key_value_heads`. */
  readonly numKvHeads?: (fields: Fields, numHeads: number) => number
  /** The model's rotary embeddings, one for all layers where not given; none where positions enter otherwise. */
  readonly ropes?: (source: RopeSource) => RopeConfig[]
  /** The longest session, where `max_position_embeddings` does not leave it to the rotary scaling. */
  readonly maxLength?: (maxPositions: number) => number
  /** Each layer's own; all alike, of full attention and with the first rotary embedding, where not given. */
  readonly layers?: (fields: Fields, numBlocks: number) => LayerConfig[]
  /** Names, without a leading `model.` or the like, of two tensors that tell a base model from its tunes. */
  readonly finalNorm: string
  readonly embedding: string
}
