import { errorMessage } from '../../base/errors.ts'
import type { ModelConfig } from './config.ts'
import { Fields } from './fields.ts'
import { type GenerationFileOptions, type GenerationProblem, parseGenerationOptions } from './generation-options.ts'
import type { JsonObject } from '../files/json.ts'
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
  /** What of it cannot be used; absent where all can. */
  readonly problems?: readonly GenerationProblem[]
}

/**
 * Reads generation_config.json (undefined if the model has none); what it lacks comes from config.json, then from
 * transformers' defaults. `file` and `configFile` name the two in messages. Wrong values are kept as `problems`: a
 * server has no use for them.
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
  const { options, problems: wrong } = parseGenerationOptions(own)
  const problems = [...wrong]
  const tokenIds = (name: string, fallback: number | readonly number[] | null): number[] => {
    const holder = own.get(name) !== undefined ? own : Object.hasOwn(config.raw, name) ? inherited : undefined
    if (holder === undefined) return fallback === null ? [] : [fallback].flat()
    try {
      return holder.tokenIds(name)
    } catch (error) {
      problems.push({ option: 'eosTokenIds', message: errorMessage(error) })
      return []
    }
  }
  return {
    eosTokenIds: tokenIds('eos_token_id', defaults.eosTokenId),
    bosTokenId: tokenIds('bos_token_id', defaults.bosTokenId)[0] ?? null,
    maxPositions: config.maxLength,
    options,
    ...(problems.length > 0 && { problems }),
  }
}
