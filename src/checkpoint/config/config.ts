// Room config/: config.json and generation_config.json, read, checked and put into one form.

import type { FloatDType } from '../../tensor/dtype.ts'
import { CheckpointError } from '../files/errors.ts'
import { Fields } from './fields.ts'
import { isJsonObject, type JsonObject } from '../files/json.ts'
import { equalLayers, type LayerConfig } from './layer-config.ts'
import { isModelType, MODEL_TYPE_NAMES, type ModelType, modelTypeRow } from './model-types/index.ts'
import type { ModelTypeRow } from './model-types/row.ts'
import { parseRope, type RopeConfig, type RopeSource } from './rope.ts'
import { unwrapConfig, WRAPPER_NAMES } from './wrappers.ts'
import { parseStoredQuant, type StoredQuant } from './stored-quant.ts'

/** What config.json says, in one form for all versions of transformers and all supported model types. Plain data. */
export interface ModelConfig {
  readonly modelType: ModelType
  readonly numBlocks: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly vocabSize: number
  readonly numHeads: number
  readonly numKvHeads: number
  readonly headDim: number
  readonly normEps: number
  /** The MLP's activation function by transformers' name, e.g. `silu`. */
  readonly activation: string
  /** Number of positions that the model was trained for, before any scaling of its rotary embeddings. */
  readonly maxPositions: number
  /** The most tokens of a session, prompt and answer together. */
  readonly maxLength: number
  /**
   * The model's rotary embeddings; `LayerConfig.rope` is an index into this list. Empty for models with other position
   * embeddings.
   */
  readonly ropes: readonly RopeConfig[]
  /** One entry per block. */
  readonly layers: readonly LayerConfig[]
  readonly attentionBias: boolean
  readonly mlpBias: boolean
  /** Whether the output head uses the embedding matrix instead of one of its own. */
  readonly tiedEmbeddings: boolean
  /** The dtype of the weights, as the config says. */
  readonly dtype: FloatDType
  /** How the weights are packed, if the checkpoint was quantized before it was saved. */
  readonly storedQuant?: StoredQuant | undefined
  /** The `model_type` of the multimodal model that this one is the text part of. */
  readonly wrapper?: string | undefined
  /** config.json itself, or the text model's part of it, for fields that only one family reads. */
  readonly raw: JsonObject
}

/**
 * The most blocks that a config may name. The deepest known models have a few hundred; a larger number is a mistake
 * that would slow down every loop over blocks.
 */
const MAX_BLOCKS = 10_000

/**
 * Reads the parsed config.json of a supported model type, or of a multimodal model around one. `configFile` names it in
 * messages. Throws `CHECKPOINT_CONFIG`, naming the field and its value.
 */
export function parseConfig(own: unknown, configFile: string): ModelConfig {
  if (!isJsonObject(own)) throw new CheckpointError('CHECKPOINT_CONFIG', `${configFile} must hold a JSON object`)
  const { json, where: file, wrapper } = unwrapConfig(own, configFile)
  const modelType = parseModelType(new Fields(json, file))
  const row = modelTypeRow(modelType)
  const { defaults } = row
  const fields = new Fields(json, file, row.aliases)
  const storedQuant = parseStoredQuant(fields)
  const numBlocks = fields.size('num_hidden_layers', undefined, MAX_BLOCKS)
  const hiddenSize = fields.size('hidden_size')
  const maxPositions = fields.size('max_position_embeddings', defaults.maxPositions)
  const heads = parseHeads(fields, row)
  const ropes = (row.ropes ?? oneRope)({
    config: json,
    file,
    headDim: heads.headDim,
    maxPositions,
    defaultTheta: defaults.ropeTheta,
    defaultPartialRotary: defaults.partialRotary,
  })
  return {
    modelType,
    numBlocks,
    hiddenSize,
    intermediateSize: row.intermediateSize?.(fields, hiddenSize) ?? fields.size('intermediate_size'),
    vocabSize: fields.size('vocab_size'),
    ...heads,
    normEps: fields.positive('rms_norm_eps', defaults.normEps),
    activation: fields.text('hidden_act', defaults.activation),
    maxPositions,
    maxLength: row.maxLength?.(maxPositions) ?? stretchedPositions(maxPositions, ropes),
    ropes,
    layers: row.layers?.(fields, numBlocks) ?? equalLayers(numBlocks),
    attentionBias: fields.flag('attention_bias', defaults.attentionBias ?? false),
    mlpBias: fields.flag('mlp_bias', false),
    tiedEmbeddings: fields.flag('tie_word_embeddings', defaults.tiedEmbeddings),
    dtype: parseDType(fields),
    ...(storedQuant !== undefined && { storedQuant }),
    ...(wrapper !== undefined && { wrapper }),
    raw: json,
  }
}

const AUTO = 'auto'

/** Whether config.json gives the dtype of its weights; `auto` says that they know it themselves. */
export function namesDType(raw: JsonObject): boolean {
  return ![undefined, null, AUTO].includes((raw['dtype'] ?? raw['torch_dtype']) as string)
}

/** Whether a text is the name of a float type. */
export function isFloatDType(name: string): name is FloatDType {
  return name === 'float32' || name === 'float16' || name === 'bfloat16'
}

function parseModelType(fields: Fields): ModelType {
  const type = fields.text('model_type')
  return isModelType(type)
    ? type
    : fields.fail('model_type', `must be one of ${[...MODEL_TYPE_NAMES, ...WRAPPER_NAMES].join(', ')}`)
}

/** How many positions a model has after the scaling of its rotary embeddings. */
function stretchedPositions(maxPositions: number, [rope]: readonly RopeConfig[]): number {
  switch (rope?.type) {
    case 'linear':
    case 'dynamic':
      return Math.floor(maxPositions * rope.factor)
    case 'yarn':
      return Math.max(maxPositions, Math.floor(rope.originalMaxPositions * rope.factor))
    default:
      return maxPositions
  }
}

/** One rotary embedding for all layers, as most model types have it. */
function oneRope(source: RopeSource): RopeConfig[] {
  return [parseRope(source)]
}

function parseHeads(
  fields: Fields,
  { defaults, ...row }: ModelTypeRow,
): Pick<ModelConfig, 'numHeads' | 'numKvHeads' | 'headDim'> {
  const hiddenSize = fields.size('hidden_size')
  const numHeads = fields.size('num_attention_heads')
  // Null says as many as heads, also where another number is the default.
  const defaultKvHeads = fields.has('num_key_value_heads') ? numHeads : (defaults.numKvHeads ?? numHeads)
  const numKvHeads = row.numKvHeads?.(fields, numHeads) ?? fields.size('num_key_value_heads', defaultKvHeads)
  if (numHeads % numKvHeads !== 0) fields.fail('num_key_value_heads', `must divide num_attention_heads (${numHeads})`)
  if (row.headDim !== undefined) return { numHeads, numKvHeads, headDim: row.headDim(fields) }
  // Null says that the heads share the hidden size, also where another number is the default.
  const headDim = fields.has('head_dim') ? hiddenSize / numHeads : (defaults.headDim ?? hiddenSize / numHeads)
  if (fields.get('head_dim') === undefined && !Number.isInteger(headDim)) {
    fields.fail('num_attention_heads', `must divide hidden_size (${hiddenSize}) where head_dim is not given`)
  }
  return { numHeads, numKvHeads, headDim: fields.size('head_dim', headDim) }
}

function parseDType(fields: Fields): FloatDType {
  const name = fields.get('dtype') === undefined ? 'torch_dtype' : 'dtype'
  const dtype = fields.text(name, 'float32').replace(/^torch\./, '')
  if (dtype === AUTO) return 'float32'
  return isFloatDType(dtype) ? dtype : fields.fail(name, 'must be float32, float16 or bfloat16')
}
