/** What transformers fills in where a config of this model type leaves a field out. */
export interface ConfigDefaults {
  readonly normEps: number
  readonly activation: string
  readonly maxPositions: number
  readonly ropeTheta: number
  readonly tiedEmbeddings: boolean
  readonly bosTokenId: number
  readonly eosTokenId: number
}

/** One row per `model_type` whose config is understood. */
export interface ModelTypeRow {
  readonly defaults: ConfigDefaults
  /** Names, without a leading `model.`, of two tensors that tell a base model from its tunes. */
  readonly finalNorm: string
  readonly embedding: string
}

const MODEL_TYPES = {
  llama: {
    defaults: {
      normEps: 1e-6, activation: 'silu', maxPositions: 2048, ropeTheta: 10000, tiedEmbeddings: false,
      bosTokenId: 1, eosTokenId: 2,
    },
    finalNorm: 'norm.weight',
    embedding: 'embed_tokens.weight',
  },
} satisfies Record<string, ModelTypeRow>

export type ModelType = keyof typeof MODEL_TYPES

export const MODEL_TYPE_NAMES: readonly string[] = Object.keys(MODEL_TYPES)

export function isModelType(name: string): name is ModelType {
  return Object.hasOwn(MODEL_TYPES, name)
}

export function modelTypeRow(type: ModelType): ModelTypeRow {
  return MODEL_TYPES[type]
}
