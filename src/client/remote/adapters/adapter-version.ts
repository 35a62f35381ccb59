import { setImmediate as nextTurn } from 'node:timers/promises'
import { AdapterDigest, type LoadedModule } from '../../../checkpoint/adapter/adapter-digest.ts'
import { isFloatDType } from '../../../checkpoint/config/config.ts'
import { CheckpointError } from '../../../checkpoint/files/errors.ts'
import { readRows } from '../../../checkpoint/weights/read.ts'
import type { TensorSlice } from '../../../checkpoint/weights/safetensors.ts'
import type { FittedModule } from '../../../families/graphs/fit-adapter.ts'
import type { ServerRecord } from '../../../swarm/records/record-fields.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { uploadAdapter } from './adapter-upload.ts'
import type { AdapterAccess, ModuleShapes, ProvideOptions, ProvidedAdapter, RequestAdapter } from './request-adapter.ts'
import type { RouteSpan } from '../routes/route-request.ts'
import { SharedWork } from './shared-work.ts'

/** A module, and the version in which it was changed last. */
export interface VersionedModule extends FittedModule {
  readonly changedIn: number
}

/** What one server was brought. */
export interface AtServer {
  /** Uploads that are under way or were taken, by the adapter's name. */
  readonly uploads: Map<string, SharedWork<void>>
  newest?: { readonly name: string; readonly version: number } | undefined
}

/** What each server was brought, by its peer id. */
export type ServersWithAdapter = Map<string, AtServer>

/** A server to which an adapter is brought. */
interface Destination {
  readonly swarm: AdapterAccess
  readonly server: ServerRecord
  readonly at: AtServer
}

/** What one version of an adapter is. */
export interface AdapterVersionOptions {
  /** Names the adapter in messages. */
  readonly label: string
  readonly version: number
  readonly modules: readonly VersionedModule[]
  /** What servers were brought of this and other versions; kept up to date. */
  readonly servers: ServersWithAdapter
  /** Whether gradients of it are wanted. */
  readonly isTrained: boolean
}

/** One version of an adapter: brought to each server that needs it, under a name that is its digest. */
export class AdapterVersion implements RequestAdapter {
  readonly label: string
  readonly #version: number
  readonly #modules: readonly VersionedModule[]
  readonly #servers: ServersWithAdapter
  readonly #isTrained: boolean
  /** The name of each part of the adapter, by the blocks of the servers that hold it. */
  readonly #named = new Map<string, Promise<string>>()

  constructor({ label, version, modules, servers, isTrained }: AdapterVersionOptions) {
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
        (stop) => this.#upload(name, { swarm, server, at }, stop),
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

  async #upload(name: string, { swarm, server, at }: Destination, signal: AbortSignal): Promise<void> {
    const before = at.newest !== undefined && at.newest.version < this.#version ? at.newest : undefined
    const modules = this.#within(server).map((module) => ({
      name: module.name,
      isSame: before !== undefined && module.changedIn <= before.version,
      load: () => loaded(module),
    }))
    await uploadAdapter(swarm, server, { name, replaces: before?.name, modules }, signal)
    if (this.#version >= (at.newest?.version ?? 0)) {
      at.newest = { name, version: this.#version }
      // The server may have dropped the version that this one replaces: a request for that one uploads it again.
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
