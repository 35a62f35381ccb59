import type { ModelConfig } from '../checkpoint/config.ts'
import type { ModelType } from '../checkpoint/model-types.ts'
import { FamilyError } from './errors.ts'
import type { Family } from './family.ts'
import { llama } from './llama.ts'

const FAMILIES: Record<ModelType, Family> = { llama }

/**
 * The family of a model, all of whose options it supports. Throws `FAMILY_UNKNOWN` for other model types, with the list
 * of known ones, and `FAMILY_UNSUPPORTED` for options that would change the results.
 */
export function familyOf(config: ModelConfig): Family {
  const { modelType } = config
  if (!Object.hasOwn(FAMILIES, modelType)) {
    throw new FamilyError('FAMILY_UNKNOWN', 'model_type', modelType,
      `is not supported: choose a model of type ${Object.keys(FAMILIES).join(', ')}`)
  }
  const family = FAMILIES[modelType]
  family.check(config)
  return family
}
