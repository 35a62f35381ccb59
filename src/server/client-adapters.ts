import { PetalsError } from '../base/errors.ts'
import { AdapterDigest, CLIENT_ADAPTER, type LoadedModule } from '../checkpoint/adapter/adapter-digest.ts'
import type { Engine } from '../engine/engine.ts'
import type { ServedStream } from '../swarm/frames/frame-stream.ts'
import type { Request } from '../swarm/frames/messages.ts'

type Offer = Extract<Request<'adapter'>, { kind: 'offer' }>

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

/** What is counted against a peer. */
interface Share {
  readonly peerId: string
  readonly bytes: number
}

interface Held extends Share {
  readonly modules: readonly LoadedModule[]
  /** Whether its client has brought a newer version: it goes when no request uses it any more. */
  isReplaced: boolean
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
   * Answers a client's offer and takes the adapter if it is not here, in place of the one that it `replaces`. Throws
   * `ADAPTER_REFUSED` if it is too large or does not match its name, `ADAPTER_MISFIT`, `ADAPTER_WEIGHT` or
   * `ADAPTER_MEMORY`.
   */
  async receive(stream: ServedStream<'adapter'>, { adapter: name, replaces }: Offer, engine: Engine): Promise<void> {
    if (!name.startsWith(CLIENT_ADAPTER)) throw refused('it has no proper name')
    const { remotePeer: peerId } = stream
    const before = replaces === undefined || replaces === name ? undefined : this.#held.get(replaces)
    const replaced = before?.peerId === peerId ? before : undefined
    if (engine.adapters.has(name)) {
      this.#renew(name)
      this.#replace(replaced, engine)
      await stream.send({ kind: 'have' })
      return
    }
    await stream.send({ kind: 'send', ...(replaced !== undefined && { hasReplaced: true }) })
    const { modules, bytes } = await this.#collect(stream, name, replaced?.modules)
    this.#replace(replaced, engine)
    this.#makeRoom({ peerId, bytes }, engine)
    // Another stream may have uploaded the same adapter meanwhile.
    if (!engine.adapters.has(name)) engine.adapters.add({ name, modules })
    this.#touch(name, { peerId, bytes, modules, isReplaced: false })
    try {
      ;(await engine.adapters.acquire(name)).release()
    } catch (error) {
      this.#forget(name, engine)
      throw error
    }
    await stream.send({ kind: 'taken' })
  }

  /** The modules of an upload; those of the version `before` stand for the ones that are the same. */
  async #collect(
    stream: ServedStream<'adapter'>,
    name: string,
    before: readonly LoadedModule[] = [],
  ): Promise<{ modules: LoadedModule[]; bytes: number }> {
    const digest = new AdapterDigest()
    const known = new Map(before.map((module) => [module.name, module]))
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
        if (message.kind === 'offer') throw refused('another offer came in the middle of it')
        const module: LoadedModule | undefined = message.kind === 'module' ? message : known.get(message.name)
        if (module === undefined) throw refused(`the version before has no module ${message.name.slice(0, 200)}`)
        upload.bytes += module.a.data.byteLength + module.b.data.byteLength
        // From now on these bytes count as adapters, not as the peer's requests.
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

  /** Forgets what newer versions have replaced, as far as no request uses it. */
  #replace(replaced: Held | undefined, engine: Engine): void {
    if (replaced !== undefined) replaced.isReplaced = true
    for (const [name, { isReplaced }] of this.#held) if (isReplaced) this.#forget(name, engine)
  }

  /** Forgets adapters that nobody uses until the new one fits: those of the peer with most, least recently offered. */
  #makeRoom(added: Share, engine: Engine): void {
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

  #touch(name: string, held: Held): void {
    this.#held.delete(name)
    this.#held.set(name, held)
  }

  /** An adapter was offered again: it no longer counts as replaced by a newer version. */
  #renew(name: string): void {
    const held = this.#held.get(name)
    if (held !== undefined) this.#touch(name, { ...held, isReplaced: false })
  }
}

function sumOf(all: readonly Pick<Share, 'bytes'>[]): number {
  return all.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** The peer whose adapters take the most bytes together. */
function greediestOf(all: readonly Share[]): string {
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
