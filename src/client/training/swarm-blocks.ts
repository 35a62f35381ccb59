import type { ModelConfig } from '../../checkpoint/config/config.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { AdapterVersions } from '../remote/adapters/adapter-versions.ts'
import type { RemoteSequential } from '../blocks/remote-sequential.ts'
import { adapterNow, loraPairs } from './methods/lora.ts'
import type { Trained } from './methods/trained.ts'
import type { Blocks, BlocksPass } from './tape/blocks.ts'

/** The part of a model's blocks that training uses. */
export interface TrainingLayers extends Pick<RemoteSequential, 'forward' | 'pass'> {
  readonly config: ModelConfig
}

/** The blocks of a swarm, through the newest version of an adapter that is trained. */
export class SwarmBlocks implements Blocks {
  readonly #layers: TrainingLayers
  readonly #signal: AbortSignal | undefined
  #versions: AdapterVersions | undefined

  constructor(layers: TrainingLayers, signal: AbortSignal | undefined) {
    this.#layers = layers
    this.#signal = signal
  }

  /** Takes the adapter as it is now; servers are brought what has changed when they compute with it next. */
  async update({ lora }: Trained): Promise<void> {
    if (lora === undefined) return
    this.#versions ??= new AdapterVersions(await adapterNow(lora, 'tuned'), this.#layers.config)
    await this.#versions.update(loraPairs(lora))
  }

  /** The last block's output for `hidden` [sequences, tokens, hidden]; nothing is kept for gradients. */
  forward(hidden: Tensor, prompts: Tensor | undefined, signal?: AbortSignal): Promise<Tensor> {
    const either = [this.#signal, signal].filter((each) => each !== undefined)
    return this.#layers.forward(hidden, { ...this.#options(prompts), signal: AbortSignal.any(either) })
  }

  /** As `forward`, with what is kept for gradients. */
  pass(hidden: Tensor, prompts: Tensor | undefined): Promise<BlocksPass> {
    return this.#layers.pass(hidden, this.#options(prompts))
  }

  #options(prompts: Tensor | undefined) {
    const activeAdapter = this.#versions
    return { prompts, signal: this.#signal, ...(activeAdapter !== undefined && { activeAdapter }) }
  }
}
