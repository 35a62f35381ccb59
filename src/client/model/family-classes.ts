import type { ModelType } from '../../checkpoint/config/model-types/index.ts'
import { AutoDistributedModelForSequenceClassification } from './classification-model.ts'
import { AutoDistributedConfig } from './config.ts'
import { AutoDistributedModel } from './hidden-model.ts'
import { AutoDistributedModelForCausalLM } from './model.ts'

/** `qwen3_moe` becomes `Qwen3Moe`. */
type PascalCase<T extends string> = T extends `${infer First}_${infer Rest}`
  ? `${Capitalize<First>}${PascalCase<Rest>}`
  : Capitalize<T>

type FamilyClasses<T extends ModelType> = Record<`Distributed${PascalCase<T>}Config`, typeof AutoDistributedConfig> &
  Record<`Distributed${PascalCase<T>}Model`, typeof AutoDistributedModel> &
  Record<`Distributed${PascalCase<T>}ForCausalLM`, typeof AutoDistributedModelForCausalLM> &
  Record<`Distributed${PascalCase<T>}ForSequenceClassification`, typeof AutoDistributedModelForSequenceClassification>

/**
 * The Auto classes restricted to one `model_type`: their `fromPretrained` throws `FAMILY_MISMATCH` for other models.
 */
export function classesOf<T extends ModelType>(modelType: T): FamilyClasses<T> {
  const family = modelType.replaceAll(/(?:^|_)(.)/g, (_, first: string) => first.toUpperCase())
  return Object.fromEntries([
    named(
      `Distributed${family}Config`,
      class extends AutoDistributedConfig {
        static override readonly modelType = modelType
      },
    ),
    named(
      `Distributed${family}Model`,
      class extends AutoDistributedModel {
        static override readonly modelType = modelType
      },
    ),
    named(
      `Distributed${family}ForCausalLM`,
      class extends AutoDistributedModelForCausalLM {
        static override readonly modelType = modelType
      },
    ),
    named(
      `Distributed${family}ForSequenceClassification`,
      class extends AutoDistributedModelForSequenceClassification {
        static override readonly modelType = modelType
      },
    ),
  ]) as FamilyClasses<T>
}

function named<C>(name: string, value: C): [string, C] {
  return [name, Object.defineProperty(value, 'name', { value: name })]
}
