import { PetalsError } from '../base/errors.ts'
import type { Engine } from '../engine/engine.ts'
import type { PeerTarget } from '../swarm/address.ts'
import type { ServedStream } from '../swarm/frames/frame-stream.ts'
import type { SwarmLogger, SwarmNode } from '../swarm/node/node.ts'
import type { ClientAdapters } from './client-adapters.ts'
import { firstMessage } from './requests/first-message.ts'
import { PassRequests } from './requests/pass-requests.ts'
import { RequestContext } from './requests/request-context.ts'
import type { ServerStats } from './requests/server-stats.ts'
import { SessionRequests } from './requests/session-requests.ts'
import type { Pace } from './rates/pace.ts'

/** What a block server works with. */
export interface BlockServerModules {
  readonly node: SwarmNode
  readonly engine: Engine
  readonly logger: SwarmLogger
  /** The adapters that clients upload; absent if they may not. */
  readonly clientAdapters?: ClientAdapters | undefined
  /** Returns where to dial the next server that a client names; throws if the client may not have it dialled. */
  readonly admitHop: (peerId: string, clientId: string) => Promise<PeerTarget>
}

/** What a block server serves, and its limits. */
export interface BlockServerOptions {
  readonly modelKey: string
  /** The longest that a session may wait for cache, even if its client allows more. */
  readonly maxAllocTimeoutMs: number
  /** A session without steps for this long is closed and its cache freed; its client can replay it. */
  readonly sessionIdleMs: number
  readonly peerLimits?: PeerLimits | undefined
}

/** What one peer may take of a server's computation, beside what the node gives it. */
export interface PeerLimits {
  readonly sessions?: number | undefined
  readonly cacheTokens?: number | undefined
  readonly tokensPerSecond?: number | undefined
}

/**
 * How many sessions a peer may have: more than one program opens for a household or a class. One that serves many
 * should ask its servers for more.
 */
const DEFAULT_SESSIONS = 128

const RPCS = ['inference', 'control', 'push', 'forward', 'probe', 'backward', 'adapter'] as const

/**
 * Answers all requests for a span: `inference`, `control` and `push` streams of sessions, passes over whole
 * sequences, and uploads of adapters.
 */
export class BlockServer {
  readonly sessions: SessionRequests
  readonly stats: ServerStats
  readonly pace: Pace
  readonly #node: SwarmNode
  readonly #clientAdapters: ClientAdapters | undefined
  readonly #context: RequestContext
  readonly #passes: PassRequests

  constructor(
    { node, engine, logger, clientAdapters, admitHop }: BlockServerModules,
    { modelKey, maxAllocTimeoutMs, sessionIdleMs, peerLimits = {} }: BlockServerOptions,
  ) {
    const { sessions = DEFAULT_SESSIONS, cacheTokens = Infinity, tokensPerSecond } = peerLimits
    const context = new RequestContext({ node, engine, logger }, { modelKey, tokensPerSecond })
    const shareLimits = { sessions, cacheTokens }
    this.#node = node
    this.#clientAdapters = clientAdapters
    this.#context = context
    this.stats = context.stats
    this.pace = context.pace
    this.sessions = new SessionRequests({ context, admitHop }, { maxAllocTimeoutMs, sessionIdleMs, shareLimits })
    this.#passes = new PassRequests(context)
  }

  async start(): Promise<void> {
    const node = this.#node
    await node.handle('inference', (stream) => this.sessions.inference(stream))
    await node.handle('control', (stream) => this.sessions.control(stream))
    await node.handle('push', (stream) => this.sessions.push(stream))
    await node.handle('forward', (stream) => this.#passes.forward('forward', stream))
    await node.handle('backward', (stream) => this.#passes.backward(stream))
    await node.handle('adapter', (stream) => this.#adapter(stream))
    await node.handle('probe', (stream) => this.#passes.forward('probe', stream))
  }

  /** Ends all sessions with this error, and answers every request with it until `resume`. */
  suspend(error: PetalsError): void {
    this.#context.suspend(error)
    this.sessions.fail(error)
  }

  /** Serves from this engine from now on. */
  resume(engine: Engine): void {
    this.#context.resume(engine)
  }

  async stop(): Promise<void> {
    for (const rpc of RPCS) await this.#node.unhandle(rpc)
    this.sessions.close()
  }

  async #adapter(stream: ServedStream<'adapter'>): Promise<void> {
    const offer = await firstMessage(stream)
    await this.#context.reported('adapter', this.#context.logOf(), async () => {
      if (offer.kind !== 'offer') throw new PetalsError('SESSION_REQUEST', 'an adapter stream begins with "offer"')
      const engine = this.#context.engineFor(offer.modelKey)
      if (this.#clientAdapters === undefined)
        throw new PetalsError('ADAPTER_REFUSED', 'this server takes no adapters of clients')
      await this.#clientAdapters.receive(stream, offer, engine)
    })
  }
}
