import { randomBytes } from 'node:crypto'
import { PetalsError, errorCode, errorMessage, isTransient } from '../../base/errors.ts'
import { sharedTurns } from '../../base/shared-turns.ts'
import type { RequestStream } from '../../swarm/frames/frame-stream.ts'
import { withDeadline } from '../../swarm/deadline.ts'
import type { SwarmLogger } from '../../swarm/node/node.ts'
import type { ServerRecord } from '../../swarm/records/record-fields.ts'
import { newTrace } from '../../swarm/node/trace.ts'
import type { Tracing } from '../../swarm/node/tracing.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { type Tensor, sliceRows } from '../../tensor/tensor.ts'
import type { RouteFinder } from '../remote/candidates.ts'
import type { RequestAdapter } from '../remote/request-adapter.ts'
import { NoRouteError, findRouteAround } from '../remote/routing.ts'
import type { RouteSpan } from '../remote/route-request.ts'
import { arithmeticClass } from '../remote/arithmetic-class.ts'
import type { WireChoice } from '../remote/wire-dtype.ts'
import type { LinkMeter } from '../remote/link-meter.ts'
import type { Slowdowns } from '../remote/slowdowns.ts'
import { InputLog } from './input-log.ts'
import type { ReplayMemory } from './replay-memory.ts'
import type { SpanInputs } from './span-inputs.ts'
import { RemoteSession, type RemoteSessionEvents } from './remote-session.ts'
import { type WatchdogOptions, whileAlive } from './watchdog.ts'

/** The part of the swarm that sessions use. */
export interface SwarmAccess {
  readonly modelKey: string
  readonly logger?: SwarmLogger | undefined
  /** Takes spans of requests. */
  readonly tracing?: Tracing | undefined
  /** This node's peer id, in case it is a server itself: its own span costs no hop. */
  readonly peerId?: string | undefined
  records(): readonly ServerRecord[]
  /** The best route whose servers have been connected to; without this, the best one by the records. */
  route?(find: RouteFinder): Promise<RouteSpan[]>
  /** Asks other peers for newer records. */
  refresh(): Promise<void>
  open<R extends 'inference' | 'control' | 'adapter'>(
    server: ServerRecord,
    rpc: R,
    signal: AbortSignal,
  ): Promise<RequestStream<R>>
  /** Servers that must not be used for a while, by peer id. */
  avoided(): ReadonlySet<string>
  /** A server has failed with this error. */
  avoid(peerId: string, error: Error): void
  /** A server has done its work: an earlier failure no longer counts. */
  worked?(peerId: string): void
  /** What is known of the links to servers. */
  readonly links?: LinkMeter | undefined
  /** How servers keep what their records say. */
  readonly observed?: Slowdowns | undefined
}

/** What a chain's sessions are opened with. */
export interface ChainOptions {
  /** Blocks `start` to `end` of the model, `end` not included. */
  readonly start: number
  readonly end: number
  readonly hiddenSize: number
  readonly dtype: FloatDType
  readonly maxLength: number
  /** The form in which hidden states are to travel. */
  readonly wireDType: WireChoice
  /** Blocks at which the chain must be cut, e.g. [1, 2]; otherwise the router decides. */
  readonly cuts?: readonly number[] | undefined
  /** Deep prompts [end - start, positions, hidden], added to each block's input at the first positions. */
  readonly prompts?: Tensor | undefined
  /** The adapter that the session computes with. */
  readonly adapter?: RequestAdapter | undefined
  /** How long a server may let the session wait for cache. */
  readonly allocTimeoutMs: number
  readonly connectTimeoutMs: number
  readonly watchdog: WatchdogOptions
  /** Bounds what is kept of spans' inputs for repairs, all sessions together. */
  readonly replayMemory: ReplayMemory
}

/** One server of the chain, and the inputs of its span as far as the client holds them. */
export interface Link {
  readonly remote: RemoteSession
  readonly inputs: SpanInputs
  /** Whether the server pushes its outputs to the next one. If not, the client carries them. */
  pushes: boolean
}

/** A server that is told its next one dials it, which may take long. */
const ROUTE_TIMEOUT_MS = 30_000

/** How often the way between two neighbours may fail before the client carries the hidden states itself. */
const LINK_FAILURES = 2

/** How a repair has changed the arithmetic of blocks: [block, before, now]. */
export type ArithmeticChange = readonly [block: number, before: string, now: string]

/** The servers that hold one session, in the order of their blocks. A link that was lost is replaced in its place. */
export class Chain {
  readonly #swarm: SwarmAccess
  readonly #options: ChainOptions
  readonly #events: RemoteSessionEvents
  readonly #root: SpanInputs
  readonly #digests = new Map<number, string>()
  #links: Link[] = []
  #connected = false
  /** The id under which the session appears in the logs of all its servers. */
  readonly trace = newTrace()
  /** The arithmetic class that each block was computed in last. */
  readonly #arithmetic = new Map<number, string>()
  /** How often a server's pushes to another one have failed, by both ids. */
  readonly #linkFailures = new Map<string, number>()
  /** Servers that refused this session for a reason that repetition does not cure, by peer id. */
  readonly #refusals = new Map<string, Error>()
  #changes: ArithmeticChange[] = []
  #closed = false

  /** `root` holds the inputs of the first block, which the client always has. */
  constructor(swarm: SwarmAccess, options: ChainOptions, events: RemoteSessionEvents, root: SpanInputs) {
    this.#swarm = swarm
    this.#options = options
    this.#events = events
    this.#root = root
  }

  get links(): readonly Link[] {
    return this.#links
  }

  /** Whether every server has been told its next one. */
  get connected(): boolean {
    return this.#connected
  }

  /**
   * Opens sessions for all blocks or, in an existing chain, for those of lost links, each of which `onLost` is called
   * with. Neighbours are not connected yet.
   */
  async complete(onLost: (remote: RemoteSession) => void = () => undefined): Promise<void> {
    if (this.#links.length === 0) {
      const { cuts = [], start, end } = this.#options
      const bounds = [start, ...cuts.filter((cut) => start < cut && cut < end), end]
      await this.#openAll(
        bounds.slice(1).map((until, i) => this.#openSpans(bounds[i]!, until, i === 0 ? this.#root : this.#newLog())),
      )
    }
    const known = new Set<RemoteSession>()
    const noteLost = (remote: RemoteSession): void => {
      if (remote.lost === undefined || known.has(remote)) return
      known.add(remote)
      if (!isTransient(remote.lost)) this.#refusals.set(remote.peerId, remote.lost)
      onLost(remote)
    }
    for (const { remote } of this.#links) noteLost(remote)
    for (let i = 0; i < this.#links.length; i++) {
      const { remote, inputs } = this.#links[i]!
      if (remote.lost === undefined) continue
      // It may have been lost meanwhile.
      noteLost(remote)
      const replacement = await this.#openSpans(remote.span.start, remote.span.end, inputs)
      this.#connected = false
      this.#links.splice(i, 1, ...replacement)
      i += replacement.length - 1
    }
    if (this.#closed) await this.close()
  }

  /**
   * Moves the session onto the servers of `other`, a chain over the same blocks, as far as they have room at once: on
   * the same server a fork is only a copy. Blocks for which that fails are left where they are, or routed elsewhere;
   * lost links are left to `complete`. A chain without links goes `nowhereElse`, if it is told so: it throws, with
   * nothing open, where a server is lost or has no room.
   */
  async follow(other: Chain, { nowhereElse = false } = {}): Promise<void> {
    if (this.#links.length > 0) {
      await Promise.all(other.#links.map(({ remote }) => this.#moveTo(remote)))
      return
    }
    for (const { remote } of other.#links) this.#remember(remote.span)
    await this.#openAll(
      other.#links.map(async ({ remote: { span, lost } }, i) => {
        const inputs = i === 0 ? this.#root : this.#newLog()
        const opening = lost === undefined ? this.#openOne(span, 0) : Promise.reject(lost)
        const remote = await (nowhereElse ? opening : opening.catch(() => undefined))
        return remote === undefined
          ? this.#openSpans(span.start, span.end, inputs)
          : [{ remote, inputs, pushes: false }]
      }),
    )
  }

  async #moveTo({ span, peerId, lost }: RemoteSession): Promise<void> {
    const range = (): [number, number] => [
      this.#links.findIndex(({ remote }) => remote.span.start === span.start),
      this.#links.findIndex(({ remote }) => remote.span.end === span.end),
    ]
    const [first, last] = range()
    const { remote } = this.#links[first] ?? {}
    const isThere = first === last && remote?.peerId === peerId && remote.lost === undefined
    if (isThere || first < 0 || last < 0 || lost !== undefined || this.#swarm.avoided().has(peerId)) return
    const opened = await this.#openOne(span, 0).catch(() => undefined)
    if (opened === undefined) return
    const [from, until] = range()
    const left = this.#links.splice(from, until - from + 1, {
      remote: opened,
      inputs: this.#links[from]!.inputs,
      pushes: false,
    })
    this.#connected = false
    for (const link of left) void link.remote.close()
    for (const { inputs } of left.slice(1)) inputs.drop()
  }

  /** Opens all links; if one fails, closes the others and throws. */
  async #openAll(opening: readonly Promise<Link[]>[]): Promise<void> {
    const parts = await Promise.allSettled(opening)
    const links = parts.flatMap((part) => (part.status === 'fulfilled' ? part.value : []))
    const failed = parts.find((part) => part.status === 'rejected')
    if (failed !== undefined) {
      for (const { remote } of links) void remote.close()
      throw failed.reason
    }
    this.#links = links
  }

  indexOf(remote: RemoteSession): number {
    return this.#links.findIndex((link) => link.remote === remote)
  }

  /** Closes the sessions on all servers, also those being opened now. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { inputs } of this.#links) inputs.drop()
    await Promise.all(this.#links.map(({ remote }) => remote.close()))
  }

  /** Notes that all servers of the chain have done a step. */
  worked(): void {
    for (const { remote } of this.#links) this.#swarm.worked?.(remote.peerId)
  }

  #log(fields: object, message: string): void {
    this.#swarm.logger?.debug({ trace: this.trace, ...fields }, message)
  }

  #newLog(): InputLog {
    return new InputLog(this.#options.hiddenSize, this.#options.replayMemory)
  }

  /**
   * Opens sessions for some blocks: on servers that have room at once or, if there are none, on full ones that may let
   * the session wait.
   */
  async #openSpans(start: number, end: number, inputs: SpanInputs): Promise<Link[]> {
    try {
      return await this.#openWithin(start, end, inputs, 0)
    } catch (error) {
      if (!(error instanceof PetalsError && error.code === 'CACHE_FULL')) throw error
      return this.#openWithin(start, end, inputs, this.#options.allocTimeoutMs)
    }
  }

  async #openWithin(start: number, end: number, inputs: SpanInputs, allocTimeoutMs: number): Promise<Link[]> {
    const avoid = new Set(this.#refusals.keys())
    for (let lastError = this.#refusals.values().next().value; ;) {
      const route = await this.#findRoute(start, end, avoid, lastError)
      const opened = await Promise.allSettled(route.map((span) => this.#openOne(span, allocTimeoutMs)))
      const failed = opened.flatMap((result, i) =>
        result.status === 'rejected' ? [{ peerId: route[i]!.server.peerId, error: result.reason as Error }] : [],
      )
      if (failed.length === 0) {
        route.forEach((span) => this.#remember(span))
        return opened.map((result, i) => ({
          remote: (result as PromiseFulfilledResult<RemoteSession>).value,
          inputs: i === 0 ? inputs : this.#newLog(),
          pushes: false,
        }))
      }
      for (const result of opened) if (result.status === 'fulfilled') void result.value.close()
      for (const { peerId, error } of failed)
        this.#log({ peerId, reason: errorMessage(error) }, 'a server did not open the session')
      for (const { peerId } of failed) avoid.add(peerId)
      const tooLarge = failed.find(({ error }) => errorCode(error) === 'SWARM_TOO_LARGE')
      if (tooLarge !== undefined) throw tooLarge.error
      lastError = failed.find(({ error }) => !isTransient(error))?.error ?? failed[0]!.error
    }
  }

  async #findRoute(
    start: number,
    end: number,
    avoid: ReadonlySet<string>,
    lastError: Error | undefined,
  ): Promise<RouteSpan[]> {
    const request = {
      start,
      end,
      tokens: this.#options.maxLength,
      digests: this.#digests,
      arithmetic: this.#arithmetic,
      wireDType: this.#options.wireDType,
      avoid,
      ownPeer: this.#swarm.peerId,
      links: this.#swarm.links,
      slowdowns: this.#swarm.observed?.factors,
      adapter: this.#options.adapter,
    }
    try {
      const find: RouteFinder = (records) => findRouteAround(records, request, this.#swarm.avoided())
      return (await this.#swarm.route?.(find)) ?? find(this.#swarm.records())
    } catch (error) {
      // If the only servers refused, their reason says more than that there is no route.
      throw error instanceof NoRouteError && lastError !== undefined && !isTransient(lastError) ? lastError : error
    }
  }

  async #openOne(span: RouteSpan, allocTimeoutMs: number): Promise<RemoteSession> {
    const { connectTimeoutMs, maxLength, hiddenSize, start, prompts, wireDType } = this.#options
    await sharedTurns.next()
    const adapter = await this.#options.adapter?.provide(this.#swarm, span)
    const stream = await withDeadline(`dialling peer ${span.server.peerId}`, connectTimeoutMs, undefined, (signal) =>
      this.#swarm.open(span.server, 'inference', signal),
    )
    const remote = await RemoteSession.open(
      stream,
      span,
      {
        sessionId: randomBytes(16).toString('hex'),
        modelKey: this.#swarm.modelKey,
        maxLength,
        hiddenSize,
        allocTimeoutMs,
        timeoutMs: connectTimeoutMs,
        trace: this.trace,
        adapter: adapter?.name,
        prompts: prompts && sliceRows(prompts, span.start - start, span.end - start),
        wireDType,
      },
      this.#events,
      (signal) => this.#swarm.open(span.server, 'control', signal),
    )
    this.#log({ peerId: remote.peerId, start: span.start, end: span.end }, 'session opened')
    return remote
  }

  #remember({ server, start, end }: RouteSpan): void {
    const now = arithmeticClass(server, this.#options.wireDType)
    for (let block = start; block < end; block++) {
      const before = this.#arithmetic.get(block)
      if (before !== undefined && before !== now) this.#changes.push([block, before, now])
      this.#arithmetic.set(block, now)
      const digest = server.blockDigests[block - server.start]
      if (digest !== undefined) this.#digests.set(block, digest)
    }
  }

  /** Blocks that were continued in another arithmetic class since this was called last. */
  takeArithmeticChanges(): readonly ArithmeticChange[] {
    const changes = this.#changes
    this.#changes = []
    return changes
  }

  /**
   * What one server pushed did not get to the next one, and nobody can tell which of them is to blame. When that is
   * `certain` to come again, or has come again, the client carries the hidden states between these two.
   */
  linkFailed(before: RemoteSession, after: RemoteSession, certain = false): void {
    const pair = `${before.peerId} ${after.peerId}`
    this.#linkFailures.set(pair, certain ? LINK_FAILURES : (this.#linkFailures.get(pair) ?? 0) + 1)
  }

  /**
   * Tells every server its next one, and that one who may push. If it cannot be dialled, or pushes to it have failed,
   * the client carries the hidden states itself.
   */
  async connect(): Promise<void> {
    await Promise.all(this.#links.slice(1).map((link, i) => this.#join(this.#links[i]!, link)))
    this.#connected = true
  }

  async #join(before: Link, { remote: after }: Link): Promise<void> {
    before.pushes = false
    const failures = this.#linkFailures.get(`${before.remote.peerId} ${after.peerId}`) ?? 0
    const [peerId, sessionId, source] =
      failures < LINK_FAILURES ? [after.peerId, after.sessionId, before.remote.peerId] : []
    const { wireDType } = after
    const asked = [
      this.#ask(after, { kind: 'accept', peerId: source }, 'accepted'),
      this.#ask(before.remote, { kind: 'route', peerId, sessionId, wireDType }, 'routed'),
    ]
    const results = await Promise.all(asked)
    before.pushes = peerId !== undefined && results.every(Boolean)
  }

  /** Whether a server does as it is asked. Throws if it is lost. */
  async #ask(
    remote: RemoteSession,
    request: Parameters<RemoteSession['request']>[0],
    answerKind: 'accepted' | 'routed',
  ): Promise<boolean> {
    try {
      await whileAlive(remote.request(request, answerKind, ROUTE_TIMEOUT_MS), remote, this.#options.watchdog)
      return true
    } catch (error) {
      if (remote.lost !== undefined) throw error
      return false
    }
  }
}
