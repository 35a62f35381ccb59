import type { ModelType } from '../checkpoint/model-types.ts'
import { AutoDistributedConfig } from './config.ts'
import { AutoDistributedModel } from './hidden-model.ts'
import { AutoDistributedModelForCausalLM } from './model.ts'

type FamilyClasses<T extends ModelType> =
  & Record<`Distributed${Capitalize<T>}Config`, typeof AutoDistributedConfig>
  & Record<`Distributed${Capitalize<T>}Model`, typeof AutoDistributedModel>
  & Record<`Distributed${Capitalize<T>}ForCausalLM`, typeof AutoDistributedModelForCausalLM>

/** The Auto classes narrowed to one `model_type`: their `fromPretrained` throws `FAMILY_MISMATCH` for a model of another. */
export function classesOf<T extends ModelType>(modelType: T): FamilyClasses<T> {
  const family = `${modelType[0]!.toUpperCase()}${modelType.slice(1)}`
  return Object.fromEntries([
    named(`Distributed${family}Config`, class extends AutoDistributedConfig { static override readonly modelType = modelType }),
    named(`Distributed${family}Model`, class extends AutoDistributedModel { static override readonly modelType = modelType }),
    named(`Distributed${family}ForCausalLM`, class extends AutoDistributedModelForCausalLM { static override readonly modelType = modelType }),
  ]) as FamilyClasses<T>
}

function named<C>(name: string, value: C): [string, C] {
  return [name, Object.defineProperty(value, 'name', { value: name })]
}

/** One line per family; a test holds this to the table of model types. */
export const { DistributedLlamaConfig, DistributedLlamaModel, DistributedLlamaForCausalLM } = classesOf('llama')
