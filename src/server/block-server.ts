import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorCode, errorMessage } from '../base/errors.ts'
import type { Engine } from '../engine/engine.ts'
import type { PeerTarget } from '../swarm/address.ts'
import type { FrameStream, RequestStream, ServedStream } from '../swarm/frames/frame-stream.ts'
import type { AnyMessage, Request } from '../swarm/frames/messages.ts'
import { RateLimit } from '../swarm/rate-limit.ts'
import type { SwarmLogger, SwarmNode } from '../swarm/node/node.ts'
import { type TracedLogger, tracedLogger } from '../swarm/node/trace.ts'
import { type Tensor, byteLength } from '../tensor/tensor.ts'
import { type CacheHolder, CacheShares } from './session/cache-shares.ts'
import type { ClientAdapters } from './client-adapters.ts'
import { OutputBudget } from './session/output-budget.ts'
import { type ComputedStep, ServedSession } from './session/served-session.ts'
import { askedWireDType } from './session/wire-dtype.ts'
import { Pace } from './span/pace.ts'
import { spanText } from '../base/span.ts'
import { FIRST_MESSAGE_TIMEOUT_MS, firstMessage } from './first-message.ts'
import { PassRequests } from './pass-requests.ts'
import { ServerStats } from './server-stats.ts'

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

/** More than one program opens for a household or a class; one that serves many should ask its servers for more. */
const DEFAULT_SESSIONS = 128

type OpenRequest = Extract<Request<'inference'>, { kind: 'open' }>

const RPCS = ['inference', 'control', 'push', 'forward', 'probe', 'backward', 'adapter'] as const

/**
 * Answers all requests for a span: `inference`, `control` and `push` streams of sessions, passes over whole
 * sequences, and uploads of adapters.
 */
export class BlockServer {
  readonly stats = new ServerStats()
  readonly pace = new Pace()
  readonly outputBudget: OutputBudget
  readonly #modules: BlockServerModules
  readonly #options: BlockServerOptions
  readonly #shares: CacheShares
  readonly #tokens: RateLimit
  readonly #passes: PassRequests
  readonly #sessions = new Map<string, ServedSession>()
  /** Ids of sessions that are waiting for cache. */
  readonly #opening = new Set<string>()
  #engine: Engine
  /** The error that every request is answered with while the engine is lost. */
  #suspended: PetalsError | undefined
  #draining = false

  constructor(modules: BlockServerModules, options: BlockServerOptions) {
    this.#modules = modules
    this.#options = options
    this.#engine = modules.engine
    const { sessions = DEFAULT_SESSIONS, cacheTokens = Infinity, tokensPerSecond = Infinity } = options.peerLimits ?? {}
    this.#shares = new CacheShares({ sessions, cacheTokens })
    this.#tokens = new RateLimit(tokensPerSecond)
    this.#passes = new PassRequests({
      engineFor: (modelKey) => this.#engineFor(modelKey),
      admitTokens: (client, tokens) => this.#admitTokens(client, tokens),
      report: (kind, log, error) => this.#report(kind, log, error),
      logger: modules.logger,
      sent: modules.node.peerGuard.sent,
      pace: this.pace,
      stats: this.stats,
      node: modules.node,
    })
    this.outputBudget = new OutputBudget(undefined, modules.node.peerGuard.sent.perPeer)
  }

  get numSessions(): number {
    return this.#sessions.size
  }

  get isDraining(): boolean {
    return this.#draining
  }

  async start(): Promise<void> {
    const { node } = this.#modules
    await node.handle('inference', (stream) => this.#inference(stream))
    await node.handle('control', (stream) => this.#control(stream))
    await node.handle('push', (stream) => this.#push(stream))
    await node.handle('forward', (stream) => this.#passes.forward('forward', stream))
    await node.handle('backward', (stream) => this.#passes.backward(stream))
    await node.handle('adapter', (stream) => this.#adapter(stream))
    await node.handle('probe', (stream) => this.#passes.forward('probe', stream))
  }

  /** Tokens in the caches of sessions that give way to whoever needs their room. */
  get parkedTokens(): number {
    return [...this.#sessions.values()].reduce((sum, { isParked, position }) => sum + (isParked ? position : 0), 0)
  }

  /** Refuses new sessions with `DRAINING` from now on; open ones go on, except for those that are only parked. */
  drain(): void {
    this.#draining = true
    this.#clearParked()
  }

  #clearParked(): void {
    this.#shares.clearParked(new PetalsError('DRAINING', 'this server is about to stop'))
  }

  /** Takes new sessions again. */
  admit(): void {
    this.#draining = false
  }

  /** Ends all sessions with this error, and answers every request with it until `resume`. */
  suspend(error: PetalsError): void {
    this.#suspended = error
    for (const session of this.#sessions.values()) session.fail(error)
  }

  /** Serves from this engine from now on. */
  resume(engine: Engine): void {
    this.#engine = engine
    this.#suspended = undefined
  }

  async stop(): Promise<void> {
    for (const rpc of RPCS) await this.#modules.node.unhandle(rpc)
    for (const session of this.#sessions.values()) session.close()
  }

  async #inference(stream: ServedStream<'inference'>): Promise<void> {
    const open = await firstMessage(stream)
    if (open.kind !== 'open') throw new PetalsError('SESSION_REQUEST', 'an inference stream begins with "open"')
    const { sessionId, start, end, maxLength } = open
    const log = tracedLogger(this.#modules.logger, open.trace)
    let session: ServedSession | undefined
    let openedAt = 0
    const converted = this.#payForPrompts(stream.remotePeer, open.prompts)
    const {
      taken: cache,
      heldBy,
      giveBack,
    } = await this.#orReport('open', log, () => this.#reserve(stream, open)).catch((error: unknown) => {
      converted.giveBack()
      throw error
    })
    try {
      session = new ServedSession(
        {
          stream,
          engine: cache,
          dtype: this.#engine.dtype,
          wireDType: askedWireDType(open.wireDType),
          openPush: (peerId, sessionId) => this.#openPush(peerId, sessionId, stream.remotePeer),
          findSession: (id) => this.#sessions.get(id),
          outputBudget: this.outputBudget,
          sent: this.#modules.node.peerGuard.sent,
          admitTokens: (tokens) => this.#admitTokens(stream.remotePeer, tokens),
          onStep: (step) => this.#stepped(open, step),
          onParked: () => {
            if (this.#draining) this.#clearParked()
          },
          pace: this.pace,
          numBlocks: end - start,
          onFailure: (kind, error) => this.#report(kind, log, error),
        },
        { idleMs: this.#options.sessionIdleMs },
      )
      this.#sessions.set(sessionId, session)
      heldBy(holderOf(session))
      this.stats.sessionsOpened += 1
      openedAt = performance.now()
      log.debug({ peerId: stream.remotePeer, start, end, maxLength }, 'session opened')
      await stream.send({ kind: 'opened' })
      await listen(stream, (message) => session!.handle(message))
    } finally {
      log.debug({ tokens: session?.position }, 'session closed')
      if (openedAt > 0) this.stats.emit('session', (performance.now() - openedAt) / 1000)
      session?.close()
      this.#sessions.delete(sessionId)
      giveBack()
      converted.giveBack()
    }
  }

  /** Deep prompts are kept as long as their session: in the span's dtype, too, where theirs is another. */
  #payForPrompts(peerId: string, prompts: Tensor | undefined): { giveBack: () => void } {
    const { dtype } = this.#engine
    if (prompts === undefined || prompts.dtype === dtype) return { giveBack: () => undefined }
    const bytes = byteLength(dtype, prompts.shape)
    const { received } = this.#modules.node.peerGuard
    if (!received.tryTake(peerId, bytes))
      throw new PetalsError(
        'SWARM_BUSY',
        `there is no room for ${bytes} bytes of deep prompts beside what this peer holds`,
      )
    return { giveBack: () => received.give(peerId, bytes) }
  }

  async #reserve(stream: ServedStream<'inference'>, open: OpenRequest) {
    // Checked and noted in one turn: of two requests with one id the second is refused.
    this.#checkOpen(open)
    const { sessionId, start, end, maxLength, allocTimeoutMs, adapter, prompts } = open
    const gone = new AbortController()
    void stream.closed.then(() => gone.abort(new PetalsError('SESSION_CLOSED', 'the client went away')))
    const timeoutMs = Math.min(allocTimeoutMs, this.#options.maxAllocTimeoutMs)
    this.#opening.add(sessionId)
    try {
      return await this.#shares.take(stream.remotePeer, maxLength, this.#engine.cacheTokens, () =>
        this.#engine.openSession({
          start,
          end,
          maxLength,
          adapter,
          prompts,
          client: stream.remotePeer,
          timeoutMs,
          signal: gone.signal,
          makeRoom: () => this.#shares.makeRoom(stream.remotePeer),
        }),
      )
    } finally {
      this.#opening.delete(sessionId)
    }
  }

  /**
   * Tells clients what their sessions are doing: on a stream of its own, since a client asks when something is late,
   * and the answer must wait neither behind a step that is being computed nor behind bulk data.
   */
  async #control(stream: ServedStream<'control'>): Promise<void> {
    for (let asked = await stream.receive(); asked !== null; asked = await stream.receive()) {
      const session = this.#sessions.get(asked.sessionId)
      if (session?.client !== stream.remotePeer) throw unknownSession()
      await stream.send({ kind: 'status', ...session.progress(asked.request) })
    }
  }

  /** Takes steps from the server before, which the client has named. */
  async #push(stream: ServedStream<'push'>): Promise<void> {
    const open = await firstMessage(stream)
    if (open.kind !== 'open') throw new PetalsError('SESSION_REQUEST', 'a push stream begins with "open"')
    const session = this.#sessions.get(open.sessionId)
    if (session === undefined) throw unknownSession()
    await session.source.admit(stream)
    try {
      await stream.send({ kind: 'opened' })
      await listen(stream, (message) => session.handlePushed(message))
    } finally {
      session.source.remove(stream)
    }
  }

  async #adapter(stream: ServedStream<'adapter'>): Promise<void> {
    const offer = await firstMessage(stream)
    await this.#orReport('adapter', tracedLogger(this.#modules.logger, undefined), async () => {
      if (offer.kind !== 'offer') throw new PetalsError('SESSION_REQUEST', 'an adapter stream begins with "offer"')
      this.#checkServes(offer.modelKey)
      const { clientAdapters } = this.#modules
      if (clientAdapters === undefined)
        throw new PetalsError('ADAPTER_REFUSED', 'this server takes no adapters of clients')
      await clientAdapters.receive(stream, offer, this.#engine)
    })
  }

  async #openPush(peerId: string, sessionId: string, clientId: string): Promise<RequestStream<'push'>> {
    const { node, admitHop } = this.#modules
    const stream = await node.open(await admitHop(peerId, clientId), 'push').catch((error: unknown) => {
      const log = { peerId, clientId, code: errorCode(error), reason: errorMessage(error) }
      this.#modules.logger.debug(log, 'the next server was not reached')
      // What exactly failed would tell the client what there is at an address that it cannot see itself.
      throw new PetalsError('HOP_UNREACHABLE', 'the next server could not be reached from here')
    })
    try {
      await stream.send({ kind: 'open', sessionId })
      const answer = await stream.receive({ timeoutMs: FIRST_MESSAGE_TIMEOUT_MS })
      if (answer === null) throw new PetalsError('SESSION_REQUEST', 'the next server did not take the stream')
    } catch (error) {
      stream.abort(error as Error)
      throw error
    }
    return stream
  }

  #checkOpen({ sessionId, modelKey, wireDType }: OpenRequest): void {
    this.#checkServes(modelKey)
    askedWireDType(wireDType)
    if (this.#sessions.has(sessionId) || this.#opening.has(sessionId))
      throw new PetalsError('SESSION_REQUEST', 'there is a session of this id already')
    if (this.#draining) throw new PetalsError('DRAINING', 'this server is about to stop and takes no new sessions')
  }

  #engineFor(modelKey: string): Engine {
    this.#checkServes(modelKey)
    return this.#engine
  }

  #checkServes(modelKey: string): void {
    if (modelKey !== this.#options.modelKey) {
      throw new PetalsError('MODEL_UNKNOWN', `this server holds ${this.#options.modelKey}, not ${modelKey}`)
    }
    if (this.#suspended !== undefined) throw this.#suspended
  }

  /** Counts tokens that a client asks for; resolves when it may have them. */
  #admitTokens(client: string, tokens: number): Promise<void> | undefined {
    const waitMs = this.#tokens.spend(client, tokens)
    return waitMs > 0 ? sleep(waitMs, undefined, { ref: false }) : undefined
  }

  async #orReport<T>(kind: string, log: TracedLogger, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      this.#report(kind, log, error)
      throw error
    }
  }

  #stepped({ trace, start, end }: OpenRequest, { tokens, position, receivedMs, beganMs }: ComputedStep): void {
    this.stats.stepped(tokens, (performance.now() - beganMs) / 1000)
    const { tracing, peerId } = this.#modules.node
    if (tracing === undefined) return
    tracing.served(trace, 'step', receivedMs, {
      'petals.server': peerId,
      'petals.blocks': spanText([start, end]),
      'petals.tokens': tokens,
      'petals.position': position,
      'petals.waited_seconds': (beganMs - receivedMs) / 1000,
    })
  }

  #report(kind: string, log: TracedLogger, error: unknown): void {
    this.stats.failed(error)
    log.debug({ kind, code: errorCode(error), reason: errorMessage(error) }, 'a request failed')
  }
}

function unknownSession(): PetalsError {
  return new PetalsError('SESSION_UNKNOWN', 'this server holds no such session')
}

function holderOf(session: ServedSession): CacheHolder {
  return {
    get usedAt() {
      return session.usedAt
    },
    get isParked() {
      return session.isParked
    },
    giveWay: (error) => session.fail(error),
  }
}

/**
 * Passes every message to `onMessage`; resolves when the stream has ended, in whatever way. Rejects with the error of a
 * message that was refused.
 */
function listen<M extends AnyMessage>(
  stream: Pick<FrameStream<never, M>, 'listen'>,
  onMessage: (message: M) => void | Promise<void>,
) {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  stream.listen({
    onMessage,
    onError: () => undefined,
    onEnd: (error) => (error !== null && errorCode(error) === 'SWARM_FRAME' ? reject(error) : resolve()),
  })
  return promise
}
