import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { modelKey } from '../../checkpoint/model-key.ts'
import type { GenerationDefaults } from '../../checkpoint/config/generation.ts'
import { openModel } from '../../checkpoint/open-model.ts'
import { checkModelType } from './pretrained.ts'

/** How a config is read. */
export interface ConfigOptions {
  /** The model's key, instead of the one that is computed from the checkpoint. */
  readonly dhtPrefix?: string | undefined
}

/** What a checkpoint says about its model, and the model's key in a swarm. Loads no weights. */
export class AutoDistributedConfig {
  /** The only `model_type` that this class accepts; undefined: any. */
  static readonly modelType: string | undefined = undefined

  /** config.json in one form for all versions of transformers. */
  readonly model: ModelConfig
  /** generation_config.json: token ids that begin and end a text, and defaults of generation options. */
  readonly generation: GenerationDefaults
  /** The name under which servers and clients of the model find one another. */
  readonly modelKey: string

  /**
   * Reads the checkpoint `model`, a folder or a model of the hub. Throws `CHECKPOINT_...`, `HUB_...`, and
   * `FAMILY_MISMATCH` for a model of another family.
   */
  static async fromPretrained(model: string, options: ConfigOptions = {}): Promise<AutoDistributedConfig> {
    const checkpoint = await openModel(model)
    checkModelType(checkpoint.config.modelType, model, this)
    return new this(checkpoint, await modelKey(checkpoint, options.dhtPrefix))
  }

  /** Called by `fromPretrained`. */
  constructor({ config, generation }: Pick<Checkpoint, 'config' | 'generation'>, key: string) {
    this.model = config
    this.generation = generation
    this.modelKey = key
  }
}
