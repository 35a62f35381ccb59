import type { FloatDType } from '../tensor/dtype.ts'
import { CheckpointError } from './errors.ts'
import { Fields } from './fields.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import { isModelType, MODEL_TYPE_NAMES, type ModelType, modelTypeRow } from './model-types.ts'
import { parseRope, type RopeConfig } from './rope.ts'

/** config.json in one form, whichever version of transformers wrote it. Plain data. */
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
  /** As transformers names it, e.g. `silu`. */
  readonly activation: string
  readonly maxPositions: number
  readonly rope: RopeConfig
  readonly attentionBias: boolean
  readonly mlpBias: boolean
  /** Whether the output head is the embedding matrix. */
  readonly tiedEmbeddings: boolean
  /** Of the checkpoint, as its config says. */
  readonly dtype: FloatDType
  /** config.json itself, for options that only one family knows. */
  readonly raw: JsonObject
}

/** Deepest known models have a few hundred blocks; a larger number is a mistake that would cost time in every loop. */
const MAX_BLOCKS = 10_000

/**
 * Normalises the parsed config.json of a supported model type. `file` is how messages name it.
 * Throws `CHECKPOINT_CONFIG`, naming the field and its value.
 */
export function parseConfig(json: unknown, file: string): ModelConfig {
  if (!isJsonObject(json)) throw new CheckpointError('CHECKPOINT_CONFIG', `${file} must hold a JSON object`)
  const fields = new Fields(json, file)
  const modelType = parseModelType(fields)
  if (fields.get('quantization_config') !== undefined) {
    fields.fail('quantization_config', 'is not read: name the checkpoint that this one was quantized from')
  }
  const { defaults } = modelTypeRow(modelType)
  const maxPositions = fields.size('max_position_embeddings', defaults.maxPositions)
  const heads = parseHeads(fields)
  return {
    modelType,
    numBlocks: fields.size('num_hidden_layers', undefined, MAX_BLOCKS),
    hiddenSize: fields.size('hidden_size'),
    intermediateSize: fields.size('intermediate_size'),
    vocabSize: fields.size('vocab_size'),
    ...heads,
    normEps: fields.positive('rms_norm_eps', defaults.normEps),
    activation: fields.text('hidden_act', defaults.activation),
    maxPositions,
    rope: parseRope(json, file, { headDim: heads.headDim, maxPositions, defaultTheta: defaults.ropeTheta }),
    attentionBias: fields.flag('attention_bias', false),
    mlpBias: fields.flag('mlp_bias', false),
    tiedEmbeddings: fields.flag('tie_word_embeddings', defaults.tiedEmbeddings),
    dtype: parseDType(fields),
    raw: json,
  }
}

/** Whether the config itself names the dtype of its weights. */
export function namesDType(raw: JsonObject): boolean {
  return (raw['dtype'] ?? raw['torch_dtype'] ?? undefined) !== undefined
}

export function isFloatDType(name: string): name is FloatDType {
  return name === 'float32' || name === 'float16' || name === 'bfloat16'
}

function parseModelType(fields: Fields): ModelType {
  const type = fields.text('model_type')
  return isModelType(type) ? type : fields.fail('model_type', `must be one of ${MODEL_TYPE_NAMES.join(', ')}`)
}

function parseHeads(fields: Fields): Pick<ModelConfig, 'numHeads' | 'numKvHeads' | 'headDim'> {
  const hiddenSize = fields.size('hidden_size')
  const numHeads = fields.size('num_attention_heads')
  const numKvHeads = fields.size('num_key_value_heads', numHeads)
  if (numHeads % numKvHeads !== 0) fields.fail('num_key_value_heads', `must divide num_attention_heads (${numHeads})`)
  if (fields.get('head_dim') === undefined && hiddenSize % numHeads !== 0) {
    fields.fail('num_attention_heads', `must divide hidden_size (${hiddenSize}) where head_dim is not given`)
  }
  return { numHeads, numKvHeads, headDim: fields.size('head_dim', hiddenSize / numHeads) }
}

function parseDType(fields: Fields): FloatDType {
  const name = fields.get('dtype') === undefined ? 'torch_dtype' : 'dtype'
  const dtype = fields.text(name, 'float32').replace(/^torch\./, '')
  return isFloatDType(dtype) ? dtype : fields.fail(name, 'must be float32, float16 or bfloat16')
}
