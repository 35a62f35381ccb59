import type { RequestTrace } from '../../../swarm/node/trace.ts'
import { randomBytes } from 'node:crypto'
import { PetalsError, errorCode, errorMessage, isTransient } from '../../../base/errors.ts'
import { sharedTurns } from '../../../base/shared-turns.ts'
import { withDeadline } from '../../../swarm/deadline.ts'
import { type Tensor, sliceRows } from '../../../tensor/tensor.ts'
import type { RouteFinder } from '../../remote/routes/candidates.ts'
import type { RequestAdapter } from '../../remote/adapters/request-adapter.ts'
import { NoRouteError, findRouteAround } from '../../remote/routes/routing.ts'
import type { RouteSpan } from '../../remote/routes/route-request.ts'
import type { SwarmAccess } from '../../remote/swarm-access.ts'
import type { WireChoice } from '../../remote/routes/wire-dtype.ts'
import type { BlockHistory } from './block-history.ts'
import { RemoteSession, type RemoteSessionEvents } from '../server/remote-session.ts'

/** What sessions on servers are opened with. */
export interface SpanOptions {
  /** The session's first block. */
  readonly start: number
  readonly hiddenSize: number
  readonly maxLength: number
  /** The form in which hidden states are to travel. */
  readonly wireDType: WireChoice
  /** Deep prompts [end - start, positions, hidden], added to each block's input at the first positions. */
  readonly prompts?: Tensor | undefined
  /** The adapter that the session computes with. */
  readonly adapter?: RequestAdapter | undefined
  /** How long a server may let the session wait for cache. */
  readonly allocTimeoutMs: number
  readonly connectTimeoutMs: number
}

interface SpanOpenerModules extends RequestTrace {
  readonly swarm: SwarmAccess
  readonly events: RemoteSessionEvents
  /** What the blocks have been computed with, which binds the choice of servers; what is opened on a route is added. */
  readonly history: BlockHistory
}

/** Finds servers for a session's blocks, and opens it there. */
export class SpanOpener {
  readonly #modules: SpanOpenerModules
  readonly #options: SpanOptions
  /** Servers that refused this session for a reason that repetition does not cure, by peer id. */
  readonly #refusals = new Map<string, Error>()

  constructor(modules: SpanOpenerModules, options: SpanOptions) {
    this.#modules = modules
    this.#options = options
  }

  /** Notes why a server was lost: where repetition does not cure that, it is not asked again. */
  wasLost(peerId: string, error: Error): void {
    if (!isTransient(error)) this.#refusals.set(peerId, error)
  }

  /**
   * Opens blocks on servers that have room at once or, if there are none, on full ones that may let the session wait.
   * Throws `NoRouteError`, or why servers refused.
   */
  async open(start: number, end: number): Promise<RemoteSession[]> {
    try {
      return await this.#openWithin(start, end, 0)
    } catch (error) {
      if (!(error instanceof PetalsError && error.code === 'CACHE_FULL')) throw error
      return this.#openWithin(start, end, this.#options.allocTimeoutMs)
    }
  }

  /** Looks for a route and opens it on all its servers, again without those that fail. */
  async #openWithin(start: number, end: number, allocTimeoutMs: number): Promise<RemoteSession[]> {
    const avoid = new Set(this.#refusals.keys())
    for (let lastError = this.#refusals.values().next().value; ;) {
      const route = await this.#findRoute(start, end, avoid, lastError)
      const results = await Promise.allSettled(route.map((span) => this.openOn(span, allocTimeoutMs)))
      const opened = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      if (opened.length === route.length) {
        for (const span of route) this.#modules.history.add(span)
        return opened
      }
      for (const remote of opened) void remote.close()
      const failed = results.flatMap((result, i) =>
        result.status === 'rejected' ? [{ peerId: route[i]!.server.peerId, error: result.reason as Error }] : [],
      )
      for (const { peerId, error } of failed) {
        this.#log({ peerId, reason: errorMessage(error) }, 'a server did not open the session')
        avoid.add(peerId)
      }
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
    const { swarm, history } = this.#modules
    const request = {
      start,
      end,
      tokens: this.#options.maxLength,
      digests: history.digests,
      arithmetic: history.arithmetic,
      wireDType: this.#options.wireDType,
      avoid,
      ownPeer: swarm.peerId,
      links: swarm.links,
      slowdowns: swarm.observed?.factors,
      adapter: this.#options.adapter,
    }
    try {
      const find: RouteFinder = (records) => findRouteAround(records, request, swarm.avoided())
      return (await swarm.route?.(find)) ?? find(swarm.records())
    } catch (error) {
      // If the only servers refused, their reason says more than that there is no route.
      throw error instanceof NoRouteError && lastError !== undefined && !isTransient(lastError) ? lastError : error
    }
  }

  /** Opens the session on one server, which may let it wait for cache; by default it is refused where there is none. */
  async openOn(span: RouteSpan, allocTimeoutMs = 0): Promise<RemoteSession> {
    const { swarm, events, trace, traceContext } = this.#modules
    const { connectTimeoutMs, maxLength, hiddenSize, start, prompts, wireDType } = this.#options
    await sharedTurns.next()
    const adapter = await this.#options.adapter?.provide(swarm, span)
    const stream = await withDeadline(`dialling peer ${span.server.peerId}`, connectTimeoutMs, undefined, (signal) =>
      swarm.open(span.server, 'inference', signal),
    )
    const openControl = (signal: AbortSignal) => swarm.open(span.server, 'control', signal)
    const remote = await RemoteSession.open(
      { stream, events, openControl },
      {
        span,
        sessionId: randomBytes(16).toString('hex'),
        modelKey: swarm.modelKey,
        maxLength,
        hiddenSize,
        allocTimeoutMs,
        timeoutMs: connectTimeoutMs,
        trace,
        traceContext,
        adapter: adapter?.name,
        prompts: prompts && sliceRows(prompts, span.start - start, span.end - start),
        wireDType,
      },
    )
    // A server answers many sessions at the same moment: what follows is divided among turns of the event loop.
    await sharedTurns.next()
    this.#log({ peerId: remote.peerId, start: span.start, end: span.end }, 'session opened')
    return remote
  }

  #log(fields: object, message: string): void {
    this.#modules.swarm.logger?.debug({ trace: this.#modules.trace, ...fields }, message)
  }
}
