import { setImmediate as nextTurn } from 'node:timers/promises'
import { PetalsError, UsageError } from '../../../base/errors.ts'
import type { Adapter } from '../../../checkpoint/adapter/adapter.ts'
import type { ModelConfig } from '../../../checkpoint/config/config.ts'
import type { TensorSlice } from '../../../checkpoint/weights/safetensors.ts'
import { fitAdapter } from '../../../families/graphs/fit-adapter.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { AdapterVersion, type ServersWithAdapter, type VersionedModule } from './adapter-version.ts'
import type { RequestAdapter } from './request-adapter.ts'

/** Both matrices of a module: A [rank, in], B [out, rank]. */
export interface ModulePair {
  readonly a: Tensor
  readonly b: Tensor
}

/**
 * An adapter of the client's own that changes: training makes a new version of it at every step. Each server is brought
 * the newest version when a pass first needs it there, and of it only the modules that have changed since the version
 * that this server had; the older one goes. A pass keeps the version that it began with.
 */
export class AdapterVersions {
  readonly #label: string
  readonly #servers: ServersWithAdapter = new Map()
  #version = 0
  #modules: readonly VersionedModule[]
  #newest: AdapterVersion | undefined

  /** Begins with the matrices of `adapter`. Throws `ADAPTER_MISFIT` if they do not fit the model. */
  constructor(adapter: Adapter, config: ModelConfig) {
    this.#label = `${adapter.name} (this client's own)`
    this.#modules = fitAdapter(adapter, config).modules.map((module) => ({ ...module, changedIn: 0 }))
  }

  /** How often it was changed. */
  get version(): number {
    return this.#version
  }

  /** What servers have been brought, by peer id: the version, and how many uploads are under way. */
  get atServers(): ReadonlyMap<string, { readonly version: number | undefined; readonly uploading: number }> {
    const entries = [...this.#servers].map(([peerId, { newest, uploads }]) => {
      const uploading = [...uploads.values()].filter(({ isDone }) => !isDone).length
      return [peerId, { version: newest?.version, uploading }] as const
    })
    return new Map(entries)
  }

  /** The newest version, for requests that want its gradients. */
  get newest(): RequestAdapter {
    this.#newest ??= this.#snapshot(true)
    return this.#newest
  }

  /** The newest version, for requests that only compute with it. */
  get fixed(): RequestAdapter {
    return this.#snapshot(false)
  }

  /**
   * Makes a new version: these modules have new matrices, the others stay. What is given is copied. Where nothing
   * differs there is no new version. Throws `USAGE` for a module that the adapter does not have, and `TENSOR_SHAPE`.
   */
  async update(changes: ReadonlyMap<string, ModulePair>): Promise<void> {
    const known = new Map(this.#modules.map((module) => [module.name, module]))
    const copies = new Map<string, ModulePair>()
    for (const [name, { a, b }] of changes) {
      const module = known.get(name)
      if (module === undefined) throw new UsageError(`the adapter has no module ${name}`)
      checkShape(name, a, module.a.shape)
      checkShape(name, b, module.b.shape)
      if (isEqual(a, module.a) && isEqual(b, module.b)) continue
      copies.set(name, { a: copied(a), b: copied(b) })
      await nextTurn()
    }
    if (copies.size === 0) return
    this.#version += 1
    this.#newest = undefined
    const version = this.#version
    this.#modules = this.#modules.map((module) => {
      const copy = copies.get(module.name)
      return copy === undefined ? module : { ...module, ...copy, changedIn: version }
    })
  }

  #snapshot(isTrained: boolean): AdapterVersion {
    return new AdapterVersion({
      label: this.#label,
      version: this.#version,
      modules: this.#modules,
      servers: this.#servers,
      isTrained,
    })
  }
}

function checkShape(name: string, matrix: Tensor, shape: readonly number[]): void {
  if (String(matrix.shape) === String(shape)) return
  throw new PetalsError('TENSOR_SHAPE', `a matrix of module ${name} [${matrix.shape}]: expected [${shape}]`)
}

function isEqual(matrix: Tensor, before: TensorSlice | Tensor): boolean {
  return !('file' in before) && matrix.dtype === before.dtype && Buffer.compare(matrix.data, before.data) === 0
}

function copied({ dtype, shape, data }: Tensor): Tensor {
  return { dtype, shape, data: data.slice() }
}
