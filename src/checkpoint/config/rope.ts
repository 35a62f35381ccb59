import { Fields } from './fields.ts'
import { isJsonObject, type JsonObject } from './json.ts'

interface RopeBase {
  /** The base of the rotary angles' geometric progression. */
  readonly theta: number
  /** How many of a head's channels are rotated; even. */
  readonly rotaryDim: number
}

/** Rotary position embeddings, with every default of transformers filled in. */
export type RopeConfig =
  | (RopeBase & { readonly type: 'default' })
  | (RopeBase & { readonly type: 'linear'; readonly factor: number })
  | (RopeBase & DynamicRope)
  | (RopeBase & Llama3Rope)
  | (RopeBase & YarnRope)
  | (RopeBase & LongRope)

/** `theta` grows with the length of a sequence beyond `originalMaxPositions`. */
interface DynamicRope {
  readonly type: 'dynamic'
  readonly factor: number
  readonly originalMaxPositions: number
}

interface Llama3Rope {
  readonly type: 'llama3'
  readonly factor: number
  readonly lowFreqFactor: number
  readonly highFreqFactor: number
  readonly originalMaxPositions: number
}

interface YarnRope {
  readonly type: 'yarn'
  readonly factor: number
  readonly betaFast: number
  readonly betaSlow: number
  /**
   * cos and sin are multiplied by this; already derived from `factor`, `mscale` and `mscale_all_dim` where not given.
   */
  readonly attentionFactor: number
  /** Whether the bounds of the ramp are rounded to whole channels. */
  readonly truncate: boolean
  readonly originalMaxPositions: number
}

/**
 * `shortFactor` applies to sequences up to `originalMaxPositions`, `longFactor` beyond; one entry per pair of channels.
 */
interface LongRope {
  readonly type: 'longrope'
  readonly factor: number
  readonly shortFactor: readonly number[]
  readonly longFactor: readonly number[]
  /** cos and sin are multiplied by this; already derived from `factor` where not given. */
  readonly attentionFactor: number
  readonly originalMaxPositions: number
}

/** What the rest of config.json says that the rotary embeddings need. */
export interface RopeContext {
  readonly headDim: number
  readonly maxPositions: number
  readonly defaultTheta: number
}

/** config.json, how messages name it, and the context. */
export interface RopeSource extends RopeContext {
  readonly config: JsonObject
  readonly file: string
}

interface Source extends RopeContext {
  readonly fields: Fields
  readonly base: RopeBase
  /** The length that the model was trained at before its context was extended. */
  readonly originalMaxPositions: number
}

const PARSERS: Record<RopeConfig['type'], (source: Source) => RopeConfig> = {
  default: ({ base }) => ({ type: 'default', ...base }),
  linear: ({ base, fields }) => ({ type: 'linear', ...base, factor: fields.positive('factor') }),
  dynamic: ({ base, fields, maxPositions }) => ({
    type: 'dynamic',
    ...base,
    factor: fields.positive('factor'),
    originalMaxPositions: maxPositions,
  }),
  llama3: parseLlama3,
  yarn: parseYarn,
  longrope: parseLongRope,
}

/**
 * Reads `rope_parameters` (transformers 5) or `rope_scaling`, `rope_theta` and `partial_rotary_factor` (transformers 4)
 * from a config. Throws `CHECKPOINT_CONFIG`.
 */
export function parseRope({ config, file, ...context }: RopeSource): RopeConfig {
  const top = new Fields(config, file)
  const name = top.get('rope_scaling') === undefined ? 'rope_parameters' : 'rope_scaling'
  const values = top.get(name) ?? {}
  if (!isJsonObject(values)) return top.fail(name, 'must be an object')
  if (Object.values(values).some(isJsonObject)) top.fail(name, 'must be one set of parameters for all layers')
  const own = { ...values, rope_type: values['rope_type'] ?? values['type'] }
  const fields = new Fields(own, `${file}: ${name}`)

  const type = fields.text('rope_type', 'default')
  if (!isRopeType(type)) return fields.fail('rope_type', `must be one of ${Object.keys(PARSERS).join(', ')}`)
  const originalMaxPositions = top.size(
    'original_max_position_embeddings',
    fields.size('original_max_position_embeddings', context.maxPositions),
  )
  return PARSERS[type]({ ...context, fields, base: parseBase(top, fields, context), originalMaxPositions })
}

function isRopeType(type: string): type is RopeConfig['type'] {
  return Object.hasOwn(PARSERS, type)
}

function parseBase(top: Fields, fields: Fields, { headDim, defaultTheta }: RopeContext): RopeBase {
  const theta = fields.positive('rope_theta', top.positive('rope_theta', defaultTheta))
  const holder = fields.get('partial_rotary_factor') === undefined ? top : fields
  const rotaryDim = Math.trunc(headDim * holder.positive('partial_rotary_factor', 1))
  if (rotaryDim < 2 || rotaryDim > headDim || rotaryDim % 2 !== 0) {
    holder.fail(
      'partial_rotary_factor',
      `must leave an even number of the ${headDim} channels of a head, not ${rotaryDim}`,
    )
  }
  return { theta, rotaryDim }
}

function parseLlama3({ base, fields, originalMaxPositions }: Source): RopeConfig {
  const lowFreqFactor = fields.positive('low_freq_factor')
  const highFreqFactor = fields.positive('high_freq_factor')
  if (highFreqFactor <= lowFreqFactor)
    fields.fail('high_freq_factor', `must be above low_freq_factor (${lowFreqFactor})`)
  return {
    type: 'llama3',
    ...base,
    factor: fields.positive('factor'),
    lowFreqFactor,
    highFreqFactor,
    originalMaxPositions,
  }
}

function parseYarn({ base, fields, maxPositions, originalMaxPositions }: Source): RopeConfig {
  const factor = fields.positive('factor', maxPositions / originalMaxPositions)
  const betaFast = fields.positive('beta_fast', 32)
  const betaSlow = fields.positive('beta_slow', 1)
  if (betaFast < betaSlow) fields.fail('beta_fast', `must not be below beta_slow (${betaSlow})`)
  return {
    type: 'yarn',
    ...base,
    factor,
    betaFast,
    betaSlow,
    originalMaxPositions,
    attentionFactor: fields.positive('attention_factor', yarnAttentionFactor(fields, factor)),
    truncate: fields.flag('truncate', true),
  }
}

function yarnAttentionFactor(fields: Fields, factor: number): number {
  const scale = (mscale: number) => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1)
  // A zero mscale counts as none, as in transformers.
  if (!fields.get('mscale') || !fields.get('mscale_all_dim')) return scale(1)
  return scale(fields.positive('mscale')) / scale(fields.positive('mscale_all_dim'))
}

function parseLongRope({ base, fields, maxPositions, originalMaxPositions }: Source): RopeConfig {
  const factor = fields.positive('factor', maxPositions / originalMaxPositions)
  const derived = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions))
  return {
    type: 'longrope',
    ...base,
    factor,
    originalMaxPositions,
    shortFactor: fields.positives('short_factor', base.rotaryDim / 2),
    longFactor: fields.positives('long_factor', base.rotaryDim / 2),
    attentionFactor: fields.positive('attention_factor', derived),
  }
}
