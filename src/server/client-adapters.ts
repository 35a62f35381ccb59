import { PetalsError } from '../base/errors.ts'
import type { AdapterModule } from '../checkpoint/adapter.ts'
import { AdapterDigest, CLIENT_ADAPTER, type LoadedModule } from '../checkpoint/adapter/adapter-digest.ts'
import type { Engine } from '../engine/engine.ts'
import type { ServedStream } from '../swarm/frames/frame-stream.ts'
import type { Request } from '../swarm/frames/messages.ts'

/** How long a slow client may take for the next message. */
const MESSAGE_TIMEOUT_MS = 60_000

/** The most modules of an adapter; more than all blocks of any model have. */
const MAX_MODULES = 4096

/** How much clients may upload. */
export interface ClientAdapterLimits {
  /** The most bytes of all adapters that clients have uploaded. */
  readonly totalBytes: number
}

/**
 * The adapters that clients upload for their sessions. Clients may be hostile: everything that they send is checked.
 */
export class ClientAdapters {
  readonly #limits: ClientAdapterLimits
  /** Bytes of each adapter, by name; least recently offered first. */
  readonly #held = new Map<string, number>()

  /** Bytes of adapters that are being uploaded. */
  #arriving = 0

  constructor(limits: ClientAdapterLimits) {
    this.#limits = limits
  }

  /**
   * Answers a client's offer and takes the adapter if it is not here yet. Throws `ADAPTER_REFUSED` if it is too large
   * or does not match its name, `ADAPTER_MISFIT`, `ADAPTER_WEIGHT` or `ADAPTER_MEMORY`.
   */
  async receive(stream: ServedStream<'adapter'>, name: string, engine: Engine): Promise<void> {
    if (!name.startsWith(CLIENT_ADAPTER)) throw refused('it has no proper name')
    if (engine.adapters.has(name)) {
      this.#touch(name, this.#held.get(name) ?? 0)
      await stream.send({ kind: 'have' })
      return
    }
    await stream.send({ kind: 'send' })
    const { modules, bytes } = await this.#collect(stream, name)
    this.#makeRoom(bytes, engine)
    // Another stream may have uploaded the same adapter meanwhile.
    if (!engine.adapters.has(name)) engine.adapters.add({ name, modules })
    this.#touch(name, bytes)
    try {
      ;(await engine.adapters.acquire(name)).release()
    } catch (error) {
      this.#forget(name, engine)
      throw error
    }
    await stream.send({ kind: 'taken' })
  }

  async #collect(stream: ServedStream<'adapter'>, name: string): Promise<{ modules: AdapterModule[]; bytes: number }> {
    const digest = new AdapterDigest()
    const modules: LoadedModule[] = []
    let bytes = 0
    try {
      for (let message = await next(stream); message.kind !== 'complete'; message = await next(stream)) {
        if (message.kind !== 'module') throw refused('another offer came in the middle of it')
        const module: LoadedModule = message
        const moduleBytes = module.a.data.byteLength + module.b.data.byteLength
        bytes += moduleBytes
        this.#arriving += moduleBytes
        if (this.#arriving > this.#limits.totalBytes || modules.length === MAX_MODULES)
          throw refused(`it is larger than the ${this.#limits.totalBytes} bytes that are allowed`)
        digest.add(module)
        modules.push(module)
      }
    } finally {
      this.#arriving -= bytes
    }
    if (modules.length === 0) throw refused('it has no matrices')
    if (digest.name() !== name) throw refused('it is not what its name says')
    return { modules, bytes }
  }

  #makeRoom(bytes: number, engine: Engine): void {
    let total = bytes + [...this.#held.values()].reduce((sum, held) => sum + held, 0)
    for (const [name, held] of this.#held) {
      if (total <= this.#limits.totalBytes) return
      if (this.#forget(name, engine)) total -= held
    }
    if (total > this.#limits.totalBytes)
      throw new PetalsError(
        'ADAPTER_MEMORY',
        "there is no room for another client's adapter beside those in use; try again later",
      )
  }

  #forget(name: string, engine: Engine): boolean {
    if (engine.adapters.has(name) && !engine.adapters.remove(name)) return false
    return this.#held.delete(name)
  }

  #touch(name: string, bytes: number): void {
    this.#held.delete(name)
    this.#held.set(name, bytes)
  }
}

async function next(stream: ServedStream<'adapter'>): Promise<Request<'adapter'>> {
  const message = await stream.receive({ timeoutMs: MESSAGE_TIMEOUT_MS })
  if (message === null) throw refused('it broke off')
  return message
}

function refused(why: string): PetalsError {
  return new PetalsError('ADAPTER_REFUSED', `the client's adapter was refused: ${why}`)
}
