import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { modelKey } from '../../checkpoint/weights/fingerprint.ts'
import type { GenerationDefaults } from '../../checkpoint/config/generation.ts'
import { openModel } from '../../checkpoint/hub/open-model.ts'
import { checkModelType } from './pretrained.ts'

export interface ConfigOptions {
  /** Instead of the key that follows from the checkpoint. */
  readonly dhtPrefix?: string | undefined
}

/** What a checkpoint says about its model, and the name under which a swarm knows it. No weights are loaded. */
export class AutoDistributedConfig {
  /** The only `model_type` that this class takes; any where there is none. */
  static readonly modelType: string | undefined = undefined

  /** config.json in one form, whichever version of transformers wrote it. */
  readonly model: ModelConfig
  /** generation_config.json: token ids that begin and end a text, sampling defaults. */
  readonly generation: GenerationDefaults
  /** Servers and clients of one swarm have the same. */
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

  /** Made by `fromPretrained`. */
  constructor({ config, generation }: Pick<Checkpoint, 'config' | 'generation'>, key: string) {
    this.model = config
    this.generation = generation
    this.modelKey = key
  }
}
