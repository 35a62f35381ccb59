import type { Adapter } from '../../checkpoint/adapter/adapter.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import { fetchTensors, releaseTensors } from '../../checkpoint/hub/download/fetch-tensors.ts'
import type { DownloadOptions } from '../../checkpoint/hub/download/download-options.ts'
import type { Engine, EngineOptions } from '../../engine/engine.ts'
import { spanTensorNames } from '../../engine/loading/tensor-names.ts'

/** Makes an engine, as `Engine.load` does. */
export type LoadEngine = (options: EngineOptions) => Promise<Engine>

/** Which span to load, and its adapters. */
export interface SpanLoaderOptions extends Omit<EngineOptions, 'signal' | 'adapterBytes'> {
  /** LoRA adapters that requests may use; `adapterBytes` bounds the memory of all loaded adapters. */
  readonly adapters?: readonly Adapter[] | undefined
  readonly adapterBytes?: number | undefined
}

/** Loads one span, any number of times, from tensors that are downloaded once. */
export class SpanLoader {
  readonly #options: SpanLoaderOptions
  readonly #load: LoadEngine

  /** Downloads the span's tensors, if the model is on the hub. Rejects with `HubError` or the signal's reason. */
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

  /** Loads an engine and adds the adapters. If an adapter does not fit, the engine is closed and the error thrown. */
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

  /** Lets the downloaded files be evicted. Nothing can be loaded afterwards. */
  release(): Promise<void> | void {
    return releaseTensors(this.checkpoint)
  }
}
