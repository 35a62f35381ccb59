import type { ModelConfig } from './config.ts'
import { Fields } from './fields.ts'
import { type GenerationFileOptions, parseGenerationOptions } from './generation-options.ts'
import type { JsonObject } from './json.ts'
import { modelTypeRow } from './model-types/index.ts'

/** What a checkpoint says about generating with it. Plain data. */
export interface GenerationDefaults {
  /** Any of these ends a text; empty where nothing does. */
  readonly eosTokenIds: readonly number[]
  readonly bosTokenId: number | null
  /** Tokens of prompt and answer together. */
  readonly maxPositions: number
  /** What generation_config.json sets of the options of generation. */
  readonly options: GenerationFileOptions
}

/**
 * Reads generation_config.json (undefined where there is none), falling back to config.json and then to what
 * transformers fills in. `file` and `configFile` are how messages name them. Throws `CHECKPOINT_CONFIG`.
 */
export function parseGeneration(
  json: JsonObject | undefined,
  file: string,
  config: ModelConfig,
  configFile: string,
): GenerationDefaults {
  const own = new Fields(json ?? {}, file)
  const inherited = new Fields(config.raw, configFile)
  const { defaults } = modelTypeRow(config.modelType)
  const tokenIds = (name: string, fallback: number | null): number[] => {
    if (own.get(name) !== undefined) return own.tokenIds(name)
    return Object.hasOwn(config.raw, name) ? inherited.tokenIds(name) : fallback === null ? [] : [fallback]
  }
  return {
    eosTokenIds: tokenIds('eos_token_id', defaults.eosTokenId),
    bosTokenId: tokenIds('bos_token_id', defaults.bosTokenId)[0] ?? null,
    maxPositions: config.maxLength,
    options: parseGenerationOptions(own),
  }
}
