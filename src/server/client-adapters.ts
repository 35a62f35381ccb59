import { PetalsError } from '../base/errors.ts'
import type { AdapterModule } from '../checkpoint/adapter.ts'
import { AdapterDigest, CLIENT_ADAPTER, type LoadedModule } from '../checkpoint/adapter/adapter-digest.ts'
import type { Engine } from '../engine/engine.ts'
import type { ServedStream } from '../swarm/frames/frame-stream.ts'
import type { Request } from '../swarm/frames/messages.ts'

/** How long a slow client may take for the next message. */
const MESSAGE_TIMEOUT_MS = 60_000

/** How long a whole upload may take. */
const UPLOAD_TIMEOUT_MS = 600_000

/** The most modules of an adapter; more than all blocks of any model have. */
const MAX_MODULES = 4096

/** How much clients may upload. */
export interface ClientAdapterLimits {
  /** The most bytes of all adapters that clients have uploaded. */
  readonly totalBytes: number
}

interface Held {
  readonly peerId: string
  readonly bytes: number
}

/** An adapter that is being sent. */
interface Upload {
  readonly peerId: string
  bytes: number
  readonly cut: AbortController
}

/**
 * The adapters that clients upload for their sessions. Clients may be hostile: everything that they send is checked.
 */
export class ClientAdapters {
  readonly #limits: ClientAdapterLimits
  readonly #uploadTimeoutMs: number
  /** Each adapter and who brought it, by name; least recently offered first. */
  readonly #held = new Map<string, Held>()
  readonly #uploads = new Set<Upload>()

  constructor(limits: ClientAdapterLimits, uploadTimeoutMs = UPLOAD_TIMEOUT_MS) {
    this.#limits = limits
    this.#uploadTimeoutMs = uploadTimeoutMs
  }

  /**
   * Answers a client's offer and takes the adapter if it is not here yet. Throws `ADAPTER_REFUSED` if it is too large
   * or does not match its name, `ADAPTER_MISFIT`, `ADAPTER_WEIGHT` or `ADAPTER_MEMORY`.
   */
  async receive(stream: ServedStream<'adapter'>, name: string, engine: Engine): Promise<void> {
    if (!name.startsWith(CLIENT_ADAPTER)) throw refused('it has no proper name')
    if (engine.adapters.has(name)) {
      this.#touch(name, this.#held.get(name))
      await stream.send({ kind: 'have' })
      return
    }
    await stream.send({ kind: 'send' })
    const { modules, bytes } = await this.#collect(stream, name)
    this.#makeRoom({ peerId: stream.remotePeer, bytes }, engine)
    // Another stream may have uploaded the same adapter meanwhile.
    if (!engine.adapters.has(name)) engine.adapters.add({ name, modules })
    this.#touch(name, { peerId: stream.remotePeer, bytes })
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
    const upload: Upload = { peerId: stream.remotePeer, bytes: 0, cut: new AbortController() }
    const late = setTimeout(
      () => upload.cut.abort(refused(`it took more than ${this.#uploadTimeoutMs / 1000} s`)),
      this.#uploadTimeoutMs,
    )
    this.#uploads.add(upload)
    const receive = (): Promise<Request<'adapter'>> => next(stream, upload.cut.signal)
    try {
      for (let message = await receive(); message.kind !== 'complete'; message = await receive()) {
        if (message.kind !== 'module') throw refused('another offer came in the middle of it')
        const module: LoadedModule = message
        upload.bytes += module.a.data.byteLength + module.b.data.byteLength
        // Counted here from now on, and no more with the peer's other requests.
        stream.releaseReceived()
        if (upload.bytes > this.#limits.totalBytes || modules.length === MAX_MODULES)
          throw refused(`it is larger than the ${this.#limits.totalBytes} bytes that are allowed`)
        this.#bound()
        upload.cut.signal.throwIfAborted()
        digest.add(module)
        modules.push(module)
      }
    } finally {
      clearTimeout(late)
      this.#uploads.delete(upload)
    }
    if (modules.length === 0) throw refused('it has no matrices')
    if (digest.name() !== name) throw refused('it is not what its name says')
    return { modules, bytes: upload.bytes }
  }

  /** Where uploads together are too large, those of the peer that sends most are cut off. */
  #bound(): void {
    const uploads = [...this.#uploads].filter(({ cut }) => !cut.signal.aborted)
    if (sumOf(uploads) <= this.#limits.totalBytes) return
    const greediest = greediestOf(uploads)
    for (const { peerId, cut } of uploads)
      if (peerId === greediest)
        cut.abort(refused('with others that are being sent it is larger than there is room for'))
  }

  /** Forgets adapters that nobody uses until the new one fits: those of the peer with most, least recently offered. */
  #makeRoom(added: Held, engine: Engine): void {
    const inUse = new Set<string>()
    for (;;) {
      if (sumOf([added, ...this.#held.values()]) <= this.#limits.totalBytes) return
      const idle = [...this.#held].filter(([name]) => !inUse.has(name))
      const greediest = greediestOf([...idle.map(([, held]) => held), added])
      const [name] = idle.find(([, { peerId }]) => peerId === greediest) ?? idle[0] ?? []
      if (name === undefined) break
      if (!this.#forget(name, engine)) inUse.add(name)
    }
    throw new PetalsError(
      'ADAPTER_MEMORY',
      "there is no room for another client's adapter beside those in use; try again later",
    )
  }

  #forget(name: string, engine: Engine): boolean {
    if (engine.adapters.has(name) && !engine.adapters.remove(name)) return false
    return this.#held.delete(name)
  }

  #touch(name: string, held: Held | undefined): void {
    this.#held.delete(name)
    if (held !== undefined) this.#held.set(name, held)
  }
}

function sumOf(all: readonly Pick<Held, 'bytes'>[]): number {
  return all.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** Who has most of all these together. */
function greediestOf(all: readonly Held[]): string {
  const byPeer = Map.groupBy(all, ({ peerId }) => peerId)
  return [...byPeer].reduce((most, other) => (sumOf(other[1]) > sumOf(most[1]) ? other : most))[0]
}

async function next(stream: ServedStream<'adapter'>, signal: AbortSignal): Promise<Request<'adapter'>> {
  const message = await stream.receive({ timeoutMs: MESSAGE_TIMEOUT_MS, signal })
  if (message === null) throw refused('it broke off')
  return message
}

function refused(why: string): PetalsError {
  return new PetalsError('ADAPTER_REFUSED', `the client's adapter was refused: ${why}`)
}
