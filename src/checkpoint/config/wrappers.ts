import { Fields } from './fields.ts'
import { isJsonObject, type JsonObject } from '../files/json.ts'
import { sizesOf, textModelOf } from './text-models.ts'

/**
 * Multimodal models around a text model, by `model_type`, and what their text model is where `text_config` leaves its
 * type out. On text alone each computes what its text model computes.
 */
const WRAPPERS: Readonly<Record<string, string>> = {
  audioflamingo3: 'qwen2',
  deepseek_vl: 'llama',
  deepseek_vl_hybrid: 'llama',
  exaone4_5: 'exaone4',
  gemma3: 'gemma3_text',
  got_ocr2: 'qwen2',
  idefics2: 'mistral',
  idefics3: 'llama',
  internvl: 'qwen2',
  llava: 'llama',
  llava_next: 'llama',
  llava_next_video: 'llama',
  llava_onevision: 'qwen2',
  mistral3: 'mistral',
  qwen2_5_vl: 'qwen2_5_vl_text',
  qwen2_audio: 'qwen2',
  qwen2_vl: 'qwen2_vl_text',
  qwen3_vl: 'qwen3_vl_text',
  qwen3_vl_moe: 'qwen3_vl_moe_text',
  smolvlm: 'llama',
  video_llava: 'llama',
  vipllava: 'llama',
  voxtral: 'llama',
}

/** Wrappers whose text model's fields may stand in config.json itself, as transformers 4 wrote them. */
const FLAT: ReadonlySet<string> = new Set(['qwen2_vl', 'qwen2_5_vl'])

/** Wrappers whose text model has no head of its own where `tie_word_embeddings` is given nowhere. */
const TIED: ReadonlySet<string> = new Set([
  'deepseek_vl',
  'deepseek_vl_hybrid',
  'gemma3',
  'got_ocr2',
  'internvl',
  'mistral3',
])

/** Fields that config.json's own value decides, whatever `text_config` says. */
const OUTER = ['bos_token_id', 'eos_token_id', 'pad_token_id', 'dtype', 'torch_dtype', 'quantization_config']

const DTYPES = ['dtype', 'torch_dtype']

/** The names of `model_type`s that `unwrapConfig` knows. */
export const WRAPPER_NAMES: readonly string[] = Object.keys(WRAPPERS)

/** The config of a text model, as a config.json of its own would have it. */
export interface TextConfig {
  readonly json: JsonObject
  /** Where it stands, for messages. */
  readonly where: string
  /** The `model_type` around it; undefined if there is none. */
  readonly wrapper: string | undefined
}

/**
 * The text model's config out of a multimodal model's, with what transformers fills in for sizes that are left out; a
 * text model's config as it is. Throws `CHECKPOINT_CONFIG`.
 */
export function unwrapConfig(json: JsonObject, file: string): TextConfig {
  const type = json['model_type']
  if (typeof type !== 'string' || !Object.hasOwn(WRAPPERS, type)) return { json, where: file, wrapper: undefined }
  const fields = new Fields(json, file)
  const nested = fields.get('text_config')
  const isFlat = nested === undefined && FLAT.has(type)
  const text = isFlat ? json : nested
  if (!isJsonObject(text)) return fields.fail('text_config', `must be an object in a config of ${type}`)
  const where = isFlat ? file : `${file}: text_config`
  const ownType = isFlat ? undefined : new Fields(text, where).get('model_type')
  const textType = ownType ?? WRAPPERS[type]!
  const given = OUTER.filter((name) => fields.get(name) !== undefined)
  // Either name of the dtype replaces both.
  const inner = given.some((name) => DTYPES.includes(name)) ? without(text, DTYPES) : text
  return {
    where,
    wrapper: type,
    json: {
      ...(typeof textType === 'string' ? sizesOf(textType) : {}),
      ...withoutSections(inner),
      ...Object.fromEntries(given.map((name) => [name, json[name]])),
      tie_word_embeddings: tieOf(json, text) ?? TIED.has(type),
      ...(typeof textType === 'string' ? textModelOf(textType) : { model_type: textType }),
    },
  }
}

/** Where one of both ties the head to the embedding, the weights tell whether it is. */
function tieOf(json: JsonObject, text: JsonObject): unknown {
  const given = [json['tie_word_embeddings'], text['tie_word_embeddings']]
  return given.includes(true) ? true : (given[0] ?? given[1])
}

function without(values: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)))
}

/**
 * Without the kind of rotary embedding that gives images positions of several axes: on text all axes are alike, and it
 * is an ordinary one.
 */
function withoutSections(text: JsonObject): JsonObject {
  const renamed = ['rope_scaling', 'rope_parameters'].flatMap((name) => {
    const rope = text[name]
    if (!isJsonObject(rope) || (rope['rope_type'] ?? rope['type']) !== 'mrope') return []
    return [[name, { ...rope, rope_type: 'default' }] as const]
  })
  return { ...text, ...Object.fromEntries(renamed) }
}
