import { setImmediate as nextTurn } from 'node:timers/promises'
import { PetalsError, UsageError } from '../../base/errors.ts'
import type { Adapter } from '../../checkpoint/adapter/adapter.ts'
import { AdapterDigest, type LoadedModule } from '../../checkpoint/adapter/adapter-digest.ts'
import { isFloatDType, type ModelConfig } from '../../checkpoint/config/config.ts'
import { CheckpointError } from '../../checkpoint/files/errors.ts'
import { readRows } from '../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../checkpoint/weights/safetensors.ts'
import { type FittedModule, fitAdapter } from '../../families/fit-adapter.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { uploadAdapter } from './adapter-upload.ts'
import type { AdapterAccess, ModuleShapes, ProvideOptions, ProvidedAdapter, RequestAdapter } from './request-adapter.ts'
import type { RouteSpan } from './route-request.ts'
import { SharedWork } from './shared-work.ts'

/** Both matrices of a module: A [rank, in], B [out, rank]. */
export interface ModulePair {
  readonly a: Tensor
  readonly b: Tensor
}

/** A module, and the version in which it was changed last. */
interface VersionedModule extends FittedModule {
  readonly changedIn: number
}

/** What one server was brought. */
interface AtServer {
  /** Uploads that are under way or were taken, by the adapter's name. */
  readonly uploads: Map<string, SharedWork<void>>
  newest?: { readonly name: string; readonly version: number } | undefined
}

/** The newest version of an adapter in each server's hands. */
type Servers = Map<string, AtServer>

/**
 * An adapter of the client's own that changes: training makes a new version of it at every step. Each server is brought
 * the newest version when a pass first needs it there, and of it only the modules that have changed since the version
 * that this server had; the older one goes. A pass keeps the version that it began with.
 */
export class AdapterVersions {
  readonly #label: string
  readonly #servers: Servers = new Map()
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
    return new AdapterVersion(this.#label, this.#version, this.#modules, this.#servers, isTrained)
  }
}

/** One version of an adapter. */
class AdapterVersion implements RequestAdapter {
  readonly label: string
  readonly #version: number
  readonly #modules: readonly VersionedModule[]
  readonly #servers: Servers
  readonly #isTrained: boolean
  /** The name of each part of the adapter, by the blocks of the servers that hold it. */
  readonly #named = new Map<string, Promise<string>>()

  constructor(
    label: string,
    version: number,
    modules: readonly VersionedModule[],
    servers: Servers,
    isTrained: boolean,
  ) {
    this.label = label
    this.#version = version
    this.#modules = modules
    this.#servers = servers
    this.#isTrained = isTrained
  }

  servedBy(record: ServerRecord): boolean {
    return record.clientAdapters === true
  }

  async provide(
    swarm: AdapterAccess,
    { server, start, end }: RouteSpan,
    { trusts = false, signal }: ProvideOptions = {},
  ): Promise<ProvidedAdapter | undefined> {
    signal?.throwIfAborted()
    if (!this.#modules.some(({ block }) => start <= block && block < end)) return undefined
    const name = await this.#nameFor(server)
    const at: AtServer = this.#servers.get(server.peerId) ?? { uploads: new Map() }
    this.#servers.set(server.peerId, at)
    let upload = at.uploads.get(name)
    if (upload === undefined || (upload.isDone && !trusts)) {
      const begun = new SharedWork(
        (stop) => this.#upload(swarm, server, name, at, stop),
        () => forget(at, name, begun),
      )
      upload = begun
      at.uploads.set(name, begun)
    }
    await upload.join(signal)
    const taken = upload
    return {
      name,
      forget: () => {
        forget(at, name, taken)
        return true
      },
    }
  }

  trained({ start, end }: Pick<RouteSpan, 'start' | 'end'>): ModuleShapes | undefined {
    if (!this.#isTrained) return undefined
    const modules = this.#modules.filter(({ block }) => start <= block && block < end)
    return new Map(modules.map(({ name, a, b }) => [name, { a: a.shape, b: b.shape }]))
  }

  async #upload(
    swarm: AdapterAccess,
    server: ServerRecord,
    name: string,
    at: AtServer,
    signal: AbortSignal,
  ): Promise<void> {
    const before = at.newest !== undefined && at.newest.version < this.#version ? at.newest : undefined
    const modules = this.#within(server).map((module) => ({
      name: module.name,
      isSame: before !== undefined && module.changedIn <= before.version,
      load: () => loaded(module),
    }))
    await uploadAdapter(swarm, server, { name, replaces: before?.name, modules }, signal)
    if (this.#version >= (at.newest?.version ?? 0)) {
      at.newest = { name, version: this.#version }
      // What it replaces is gone, or may be.
      for (const [other, { isDone }] of at.uploads) if (other !== name && isDone) at.uploads.delete(other)
    }
  }

  #nameFor(server: ServerRecord): Promise<string> {
    const key = `${server.start}:${server.end}`
    const naming = this.#named.get(key) ?? this.#name(server)
    this.#named.set(key, naming)
    return naming
  }

  async #name(server: ServerRecord): Promise<string> {
    const digest = new AdapterDigest()
    for (const module of this.#within(server)) {
      digest.add(await loaded(module))
      await nextTurn()
    }
    return digest.name()
  }

  /** The modules of the blocks that a server holds, whichever of them it computes: it needs one version only. */
  #within({ start, end }: ServerRecord): readonly VersionedModule[] {
    return this.#modules.filter(({ block }) => start <= block && block < end)
  }
}

/** Forgets an upload, unless there has been another one since. */
function forget({ uploads }: AtServer, name: string, upload: SharedWork<void>): void {
  if (uploads.get(name) === upload) uploads.delete(name)
}

async function loaded({ name, scaling, a, b }: VersionedModule): Promise<LoadedModule> {
  return { name, scaling, a: await inMemory(a), b: await inMemory(b) }
}

async function inMemory(matrix: TensorSlice | Tensor): Promise<Tensor> {
  if (!('file' in matrix)) return matrix
  const { dtype, shape } = matrix
  if (!isFloatDType(dtype))
    throw new CheckpointError('CHECKPOINT_DTYPE', `${matrix.name} in ${matrix.file} is ${dtype}, not a float type`)
  return { dtype, shape, data: await readRows(matrix, 0, shape[0]!) }
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
