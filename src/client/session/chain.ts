import { randomBytes } from 'node:crypto'
import { PetalsError } from '../../base/errors.ts'
import type { FrameStream } from '../../swarm/frame-stream.ts'
import { withDeadline } from '../../swarm/deadline.ts'
import type { ServerRecord } from '../../swarm/record-fields.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { NoRouteError, type RouteSpan, arithmeticClass, findRouteAround } from '../routing.ts'
import { InputLog } from './input-log.ts'
import { RemoteSession, type RemoteSessionEvents } from './remote-session.ts'

/** What sessions need of the swarm. */
export interface SwarmAccess {
  readonly modelKey: string
  records(): readonly ServerRecord[]
  /** Asks around for newer records. */
  refresh(): Promise<void>
  open(server: ServerRecord, rpc: 'inference', signal: AbortSignal): Promise<FrameStream>
  /** Servers not to be used for a while, by peer id. */
  avoided(): ReadonlySet<string>
  avoid(peerId: string): void
}

export interface ChainOptions {
  readonly numBlocks: number
  readonly hiddenSize: number
  readonly dtype: FloatDType
  readonly maxLength: number
  /** Boundaries that the chain must have, e.g. [1, 2]; otherwise the router chooses. */
  readonly cuts?: readonly number[] | undefined
  /** How long a server may let the session wait for cache. */
  readonly allocTimeoutMs: number
  readonly connectTimeoutMs: number
}

/** One server of the chain with the inputs of its span. */
export interface Link {
  readonly remote: RemoteSession
  readonly inputs: InputLog
  /** Whether it pushes to the next link by itself; where not, the client carries its outputs on. */
  pushes: boolean
}

const ROUTE_TIMEOUT_MS = 10_000

/** The servers that hold one session, in the order of their blocks; links that were lost are replaced in place. */
export class Chain {
  readonly #swarm: SwarmAccess
  readonly #options: ChainOptions
  readonly #events: RemoteSessionEvents
  readonly #root: InputLog
  readonly #digests = new Map<number, string>()
  #links: Link[] = []
  #arithmetic: string | undefined
  #closed = false

  /** `root` holds the inputs of the first block, which the client always has. */
  constructor(swarm: SwarmAccess, options: ChainOptions, events: RemoteSessionEvents, root: InputLog) {
    this.#swarm = swarm
    this.#options = options
    this.#events = events
    this.#root = root
  }

  get links(): readonly Link[] {
    return this.#links
  }

  /**
   * Opens sessions for all blocks, or, where links have been lost, for theirs; `onLost` is told of each. Neighbours are not
   * connected yet.
   */
  async complete(onLost: (remote: RemoteSession) => void = () => undefined): Promise<void> {
    if (this.#links.length === 0) {
      const { cuts = [], numBlocks } = this.#options
      const bounds = [...cuts, numBlocks]
      const parts = await Promise.allSettled(bounds.map((end, i) => this.#openSpans(bounds[i - 1] ?? 0, end, i === 0 ? this.#root : this.#newLog())))
      const links = parts.flatMap((part) => part.status === 'fulfilled' ? part.value : [])
      const failed = parts.find((part) => part.status === 'rejected')
      if (failed !== undefined) {
        for (const { remote } of links) void remote.close()
        throw failed.reason
      }
      this.#links = links
    }
    for (const { remote } of this.#links) if (remote.lost !== undefined) onLost(remote)
    for (let i = 0; i < this.#links.length; i++) {
      const { remote, inputs } = this.#links[i]!
      if (remote.lost === undefined) continue
      onLost(remote)
      const replacement = await this.#openSpans(remote.span.start, remote.span.end, inputs)
      this.#links.splice(i, 1, ...replacement)
      i += replacement.length - 1
    }
    if (this.#closed) await this.close()
  }

  indexOf(remote: RemoteSession): number {
    return this.#links.findIndex((link) => link.remote === remote)
  }

  /** Also closes what is being opened now. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#links.map(({ remote }) => remote.close()))
  }

  #newLog(): InputLog {
    return new InputLog(this.#options.hiddenSize, this.#options.dtype)
  }

  /** First on servers that have room at once; then those that are full may let the session wait. */
  async #openSpans(start: number, end: number, inputs: InputLog): Promise<Link[]> {
    try {
      return await this.#openWithin(start, end, inputs, 0)
    } catch (error) {
      if (!(error instanceof PetalsError && error.code === 'CACHE_FULL')) throw error
      return this.#openWithin(start, end, inputs, this.#options.allocTimeoutMs)
    }
  }

  async #openWithin(start: number, end: number, inputs: InputLog, allocTimeoutMs: number): Promise<Link[]> {
    const avoid = new Set<string>()
    for (let lastError: Error | undefined; ;) {
      const route = this.#findRoute(start, end, avoid, lastError)
      const opened = await Promise.allSettled(route.map((span) => this.#openOne(span, allocTimeoutMs)))
      const failed = opened.flatMap((result, i) => result.status === 'rejected' ? [{ peerId: route[i]!.server.peerId, error: result.reason as Error }] : [])
      if (failed.length === 0) {
        route.forEach((span) => this.#remember(span))
        return opened.map((result, i) => ({
          remote: (result as PromiseFulfilledResult<RemoteSession>).value,
          inputs: i === 0 ? inputs : this.#newLog(),
          pushes: false,
        }))
      }
      for (const result of opened) if (result.status === 'fulfilled') void result.value.close()
      for (const { peerId } of failed) avoid.add(peerId)
      lastError = failed.find(({ error }) => !isTransient(error))?.error ?? failed[0]!.error
    }
  }

  #findRoute(start: number, end: number, avoid: ReadonlySet<string>, lastError: Error | undefined): RouteSpan[] {
    const request = { start, end, tokens: this.#options.maxLength, digests: this.#digests, arithmetic: this.#arithmetic, avoid }
    try {
      return findRouteAround(this.#swarm.records(), request, this.#swarm.avoided())
    } catch (error) {
      // What the only holder said is the better answer than that there is none.
      throw error instanceof NoRouteError && lastError !== undefined && !isTransient(lastError) ? lastError : error
    }
  }

  async #openOne(span: RouteSpan, allocTimeoutMs: number): Promise<RemoteSession> {
    const { connectTimeoutMs, maxLength, hiddenSize } = this.#options
    const stream = await withDeadline(`dialling peer ${span.server.peerId}`, connectTimeoutMs, undefined,
      (signal) => this.#swarm.open(span.server, 'inference', signal))
    return RemoteSession.open(stream, span, {
      sessionId: randomBytes(16).toString('hex'), modelKey: this.#swarm.modelKey, maxLength, hiddenSize, allocTimeoutMs,
      timeoutMs: connectTimeoutMs,
    }, this.#events)
  }

  #remember({ server, start, end }: RouteSpan): void {
    this.#arithmetic ??= arithmeticClass(server)
    for (let block = start; block < end; block++) {
      const digest = server.blockDigests[block - server.start]
      if (digest !== undefined) this.#digests.set(block, digest)
    }
  }

  /** Tells every server its next one. Where that cannot be dialled the client carries the hidden states itself. */
  async connect(epoch: number): Promise<void> {
    await Promise.all(this.#links.slice(0, -1).map(async (link, i) => {
      const { span: { server }, sessionId, peerId } = this.#links[i + 1]!.remote
      link.pushes = false
      const next = { peerId, multiaddrs: server.multiaddrs, sessionId }
      await link.remote.request({ kind: 'route', epoch, next }, 'routed', ROUTE_TIMEOUT_MS).then(
        () => { link.pushes = true },
        (error: unknown) => { if (link.remote.lost !== undefined) throw error },
      )
    }))
  }
}

/** Errors that say nothing about the request itself: another try, or another server, may do better. */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof PetalsError)) return false
  return /^(?:SWARM_|TIMEOUT|NO_ROUTE|SESSION_LOST|SESSION_STALLED|SESSION_POSITION|SESSION_OUTPUTS_GONE|DRAINING|ENGINE_|RUNTIME|INTERNAL|REMOTE)/.test(error.code)
}
