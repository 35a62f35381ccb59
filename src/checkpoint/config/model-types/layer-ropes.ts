import { isJsonObject } from '../../files/json.ts'
import { parseRope, type RopeConfig, type RopeSource } from '../rope.ts'

/** The rotary embedding of the layers of one type, in models in which windowed layers have another one. */
export interface LayerRope {
  /** Its number: `FULL_ROPE` or `WINDOWED_ROPE`. */
  readonly rope: number
  /** As `layer_types` calls the type. */
  readonly type: string
  /** The base if config.json has none. */
  readonly theta: number
  /** The field that had the base in transformers 4. */
  readonly thetaField: string
}

/** The numbers of the rotary embeddings of layers with full attention and of windowed ones. */
export const FULL_ROPE = 0
export const WINDOWED_ROPE = 1

/**
 * Reads the rotary embedding of one type of layer. transformers 5 writes a set of `rope_parameters` for each type;
 * transformers 4 wrote one `rope_scaling`, for full layers, and a base. Throws `CHECKPOINT_CONFIG`.
 */
export function parseLayerRope(
  { config, ...source }: RopeSource,
  { rope, type, theta, thetaField }: LayerRope,
): RopeConfig {
  const { rope_parameters: all, rope_scaling: scaling, ...rest } = config
  const own = isJsonObject(all) ? all[type] : undefined
  const parameters = {
    rope_theta: config[thetaField] ?? theta,
    ...(isJsonObject(own) ? own : {}),
    ...(rope === FULL_ROPE && isJsonObject(scaling) ? scaling : {}),
  }
  return parseRope({ ...source, config: { ...rest, rope_parameters: parameters } })
}
