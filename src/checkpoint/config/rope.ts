import { Fields } from './fields.ts'
import { isJsonObject, type JsonObject } from '../files/json.ts'

/** What all kinds of rotary embedding have (Su et al., "RoFormer"). */
interface RopeBase {
  /** The base of the geometric progression of rotation frequencies: theta^(-2i / rotaryDim). */
  readonly theta: number
  /** How many of a head's channels are rotated; an even number. */
  readonly rotaryDim: number
}

/** A rotary position embedding, with all of transformers' defaults filled in. */
export type RopeConfig =
  | (RopeBase & { readonly type: 'default' })
  | (RopeBase & { readonly type: 'linear'; readonly factor: number })
  | (RopeBase & DynamicRope)
  | (RopeBase & Llama3Rope)
  | (RopeBase & YarnRope)
  | (RopeBase & LongRope)

/** "Dynamic NTK" scaling: `theta` grows with the length of a sequence beyond `originalMaxPositions`. */
interface DynamicRope {
  readonly type: 'dynamic'
  readonly factor: number
  readonly originalMaxPositions: number
}

/** Llama 3.1's scaling: slow rotations are slowed down by `factor`, fast ones kept, those between blended. */
interface Llama3Rope {
  readonly type: 'llama3'
  readonly factor: number
  readonly lowFreqFactor: number
  readonly highFreqFactor: number
  readonly originalMaxPositions: number
}

/** Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models". */
interface YarnRope {
  readonly type: 'yarn'
  readonly factor: number
  readonly betaFast: number
  readonly betaSlow: number
  /**
   * cos and sin are multiplied by this. If the config leaves it out, it is computed from `factor`, `mscale` and
   * `mscale_all_dim`.
   */
  readonly attentionFactor: number
  /** Whether the ends of the ramp between kept and scaled channels are rounded to whole channels. */
  readonly truncate: boolean
  readonly originalMaxPositions: number
}

/**
 * Ding et al., "LongRoPE": every pair of channels has a factor of its own. `shortFactor` is for sequences up to
 * `originalMaxPositions`, `longFactor` for longer ones; one entry per pair of rotated channels.
 */
interface LongRope {
  readonly type: 'longrope'
  readonly factor: number
  readonly shortFactor: readonly number[]
  readonly longFactor: readonly number[]
  /** cos and sin are multiplied by this. If the config leaves it out, it is computed from `factor`. */
  readonly attentionFactor: number
  readonly originalMaxPositions: number
}

/** What a rotary embedding depends on in the rest of config.json. */
export interface RopeContext {
  readonly headDim: number
  readonly maxPositions: number
  readonly defaultTheta: number
  /** The part of a head's channels that is rotated where the config says nothing; absent: all of them. */
  readonly defaultPartialRotary?: number | undefined
}

/** Where a rotary embedding is read from; `file` names the config in messages. */
export interface RopeSource extends RopeContext {
  readonly config: JsonObject
  readonly file: string
}

interface Source extends RopeContext {
  readonly fields: Fields
  readonly base: RopeBase
  /** Number of positions that the model was trained for before its context was extended. */
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
 * Reads a rotary embedding from `rope_parameters` (transformers 5), or from `rope_scaling`, `rope_theta` and
 * `partial_rotary_factor` (transformers 4). Throws `CHECKPOINT_CONFIG`.
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

function parseBase(
  top: Fields,
  fields: Fields,
  { headDim, defaultTheta, defaultPartialRotary = 1 }: RopeContext,
): RopeBase {
  const theta = fields.positive('rope_theta', top.positive('rope_theta', defaultTheta))
  const holder = fields.get('partial_rotary_factor') === undefined ? top : fields
  const rotaryDim = Math.trunc(headDim * holder.positive('partial_rotary_factor', defaultPartialRotary))
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

/**
 * YaRN's attention factor: 0.1 ln(factor) + 1 or, with `mscale` and `mscale_all_dim`, DeepSeek's quotient of two such.
 */
function yarnAttentionFactor(fields: Fields, factor: number): number {
  const scale = (mscale: number) => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1)
  // transformers treats an mscale of 0 as absent.
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
