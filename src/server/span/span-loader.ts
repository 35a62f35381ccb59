import type { Adapter } from '../../checkpoint/adapter/adapter.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import { fetchTensors, releaseTensors } from '../../checkpoint/hub/download/fetch-tensors.ts'
import type { DownloadOptions } from '../../checkpoint/hub/remote/remote.ts'
import type { Engine, EngineOptions } from '../../engine/engine.ts'
import { spanTensorNames } from '../../engine/loading/tensor-names.ts'

/** Makes an engine; `Engine.load` is one. */
export type LoadEngine = (options: EngineOptions) => Promise<Engine>

export interface SpanLoaderOptions extends Omit<EngineOptions, 'signal' | 'adapterBytes'> {
  /** LoRA adapters that requests may name, and what the matrices of all that are loaded may take. */
  readonly adapters?: readonly Adapter[] | undefined
  readonly adapterBytes?: number | undefined
}

/** Loads one span, as often as it takes, from tensors that are fetched once. */
export class SpanLoader {
  readonly #options: SpanLoaderOptions
  readonly #load: LoadEngine

  /** Fetches the span's tensors where the model is one of the hub. Rejects with the signal's reason. */
  static async fetch(
    options: SpanLoaderOptions,
    download: Omit<DownloadOptions, 'signal'> | undefined,
    load: LoadEngine,
    signal: AbortSignal | undefined,
  ): Promise<SpanLoader> {
    const names = spanTensorNames(options.checkpoint, options.start, options.end)
    const checkpoint = await fetchTensors(options.checkpoint, names, { ...download, signal })
    return new SpanLoader({ ...options, checkpoint }, load)
  }

  private constructor(options: SpanLoaderOptions, load: LoadEngine) {
    this.#options = options
    this.#load = load
  }

  get checkpoint(): Checkpoint {
    return this.#options.checkpoint
  }

  /** Nothing is left behind of an engine that an adapter does not fit. */
  async load(signal: AbortSignal | undefined): Promise<Engine> {
    const { adapters = [], adapterBytes = 0, ...options } = this.#options
    const engine = await this.#load({ ...options, adapterBytes, signal })
    try {
      for (const adapter of adapters) engine.adapters.add(adapter)
      return engine
    } catch (error) {
      await engine.close()
      throw error
    }
  }

  /** Lets go of what was fetched; nothing can be loaded afterwards. */
  release(): Promise<void> | void {
    return releaseTensors(this.checkpoint)
  }
}
