// Room config/: config.json and generation_config.json, read, checked and put into one form.

import type { FloatDType } from '../../tensor/dtype.ts'
import { CheckpointError } from '../errors.ts'
import { Fields } from './fields.ts'
import { isJsonObject, type JsonObject } from './json.ts'
import { equalLayers, type LayerConfig } from './layer-config.ts'
import { isModelType, MODEL_TYPE_NAMES, type ModelType, modelTypeRow } from './model-types/index.ts'
import type { ModelTypeRow } from './model-types/row.ts'
import { parseRope, type RopeConfig, type RopeSource } from './rope.ts'
import { parseStoredQuant, type StoredQuant } from '../weights/stored-quant.ts'

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
  /** Positions that the model was made for, before what its rotary embeddings stretch them to. */
  readonly maxPositions: number
  /** The longest that a session may become, prompt and answer together. */
  readonly maxLength: number
  /** Rotary embeddings, each used by some layers; none where positions enter otherwise. */
  readonly ropes: readonly RopeConfig[]
  /** One for each block. */
  readonly layers: readonly LayerConfig[]
  readonly attentionBias: boolean
  readonly mlpBias: boolean
  /** Whether the output head is the embedding matrix. */
  readonly tiedEmbeddings: boolean
  /** Of the checkpoint, as its config says. */
  readonly dtype: FloatDType
  /** Of a checkpoint that was quantized before it was saved. */
  readonly storedQuant?: StoredQuant | undefined
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
    attentionBias: fields.flag('attention_bias', false),
    mlpBias: fields.flag('mlp_bias', false),
    tiedEmbeddings: fields.flag('tie_word_embeddings', defaults.tiedEmbeddings),
    dtype: parseDType(fields),
    ...(storedQuant !== undefined && { storedQuant }),
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

/** What the scaling of the rotary embeddings makes of the positions that a model was trained on. */
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

function oneRope(source: RopeSource): RopeConfig[] {
  return [parseRope(source)]
}

function parseHeads(
  fields: Fields,
  { defaults, ...row }: ModelTypeRow,
): Pick<ModelConfig, 'numHeads' | 'numKvHeads' | 'headDim'> {
  const hiddenSize = fields.size('hidden_size')
  const numHeads = fields.size('num_attention_heads')
  const numKvHeads =
    row.numKvHeads?.(fields, numHeads) ?? fields.size('num_key_value_heads', defaults.numKvHeads ?? numHeads)
  if (numHeads % numKvHeads !== 0) fields.fail('num_key_value_heads', `must divide num_attention_heads (${numHeads})`)
  const headDim = defaults.headDim ?? hiddenSize / numHeads
  if (fields.get('head_dim') === undefined && !Number.isInteger(headDim)) {
    fields.fail('num_attention_heads', `must divide hidden_size (${hiddenSize}) where head_dim is not given`)
  }
  return { numHeads, numKvHeads, headDim: fields.size('head_dim', headDim) }
}

function parseDType(fields: Fields): FloatDType {
  const name = fields.get('dtype') === undefined ? 'torch_dtype' : 'dtype'
  const dtype = fields.text(name, 'float32').replace(/^torch\./, '')
  return isFloatDType(dtype) ? dtype : fields.fail(name, 'must be float32, float16 or bfloat16')
}
