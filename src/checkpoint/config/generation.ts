import type { ModelConfig } from './config.ts'
import { Fields } from './fields.ts'
import { type GenerationFileOptions, parseGenerationOptions } from './generation-options.ts'
import type { JsonObject } from './json.ts'
import { modelTypeRow } from './model-types/index.ts'

/** What a checkpoint says about generating text with it. Plain data. */
export interface GenerationDefaults {
  /** Any of these tokens ends a text; empty if the checkpoint names none. */
  readonly eosTokenIds: readonly number[]
  readonly bosTokenId: number | null
  /** The most tokens of prompt and answer together. */
  readonly maxPositions: number
  /** The generation options that generation_config.json sets. */
  readonly options: GenerationFileOptions
}

/**
 * Reads generation_config.json (undefined if the model has none); what it lacks comes from config.json, then from
 * transformers' defaults. `file` and `configFile` name the two in messages. Throws `CHECKPOINT_CONFIG`.
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
  const tokenIds = (name: string, fallback: number | readonly number[] | null): number[] => {
    if (own.get(name) !== undefined) return own.tokenIds(name)
    return Object.hasOwn(config.raw, name) ? inherited.tokenIds(name) : fallback === null ? [] : [fallback].flat()
  }
  return {
    eosTokenIds: tokenIds('eos_token_id', defaults.eosTokenId),
    bosTokenId: tokenIds('bos_token_id', defaults.bosTokenId)[0] ?? null,
    maxPositions: config.maxLength,
    options: parseGenerationOptions(own),
  }
}
