import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import { spanText } from '../../base/span.ts'
import type { EngineSession } from '../../engine/session/engine-session.ts'
import type { PeerTarget } from '../../swarm/address.ts'
import type { FrameStream, RequestStream, ServedStream } from '../../swarm/frames/frame-stream.ts'
import type { AnyMessage, Request } from '../../swarm/frames/messages.ts'
import type { TracedLogger } from '../../swarm/node/trace.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { byteLength } from '../../tensor/tensor.ts'
import { type CacheHolder, type CacheShare, CacheShares, type ShareLimits } from '../session/cache-shares.ts'
import { OutputBudget } from '../session/output-budget.ts'
import { type ComputedStep, ServedSession } from '../session/served-session.ts'
import { askedWireDType } from '../session/wire-dtype.ts'
import { FIRST_MESSAGE_TIMEOUT_MS, firstMessage } from './first-message.ts'
import { goneSignal } from './gone-signal.ts'
import type { RequestContext } from './request-context.ts'

export interface SessionRequestsModules {
  readonly context: RequestContext
  /** Returns where to dial the next server that a client names; throws if the client may not have it dialled. */
  readonly admitHop: (peerId: string, clientId: string) => Promise<PeerTarget>
}

/** The limits of sessions. */
export interface SessionRequestsOptions {
  /** The longest that a session may wait for cache, even if its client allows more. */
  readonly maxAllocTimeoutMs: number
  /** A session without steps for this long is closed and its cache freed; its client can replay it. */
  readonly sessionIdleMs: number
  /** What one peer may have of the cache. */
  readonly shareLimits: ShareLimits
}

type OpenRequest = Extract<Request<'inference'>, { kind: 'open' }>

/** What a session has taken before it begins. */
interface Reserved extends Omit<CacheShare<EngineSession>, 'taken'> {
  readonly engine: EngineSession
  readonly dtype: FloatDType
}

/** The sessions of a span: answers `inference`, `control` and `push` streams. */
export class SessionRequests {
  readonly outputBudget: OutputBudget
  readonly #modules: SessionRequestsModules
  readonly #options: SessionRequestsOptions
  readonly #shares: CacheShares
  readonly #sessions = new Map<string, ServedSession>()
  /** Ids of sessions that are waiting for cache. */
  readonly #opening = new Set<string>()
  #draining = false

  constructor(modules: SessionRequestsModules, options: SessionRequestsOptions) {
    this.#modules = modules
    this.#options = options
    this.#shares = new CacheShares(options.shareLimits)
    this.outputBudget = new OutputBudget(undefined, modules.context.node.peerGuard.sent.perPeer)
  }

  /** Number of open sessions. */
  get count(): number {
    return this.#sessions.size
  }

  /** Tokens in the caches of sessions that give way to whoever needs their room. */
  get parkedTokens(): number {
    return [...this.#sessions.values()].reduce((sum, { isParked, position }) => sum + (isParked ? position : 0), 0)
  }

  get isDraining(): boolean {
    return this.#draining
  }

  /** Refuses new sessions with `DRAINING` from now on; open ones go on, except for those that are only parked. */
  drain(): void {
    this.#draining = true
    this.#clearParked()
  }

  /** Takes new sessions again. */
  admit(): void {
    this.#draining = false
  }

  /** Ends all sessions with this error. */
  fail(error: PetalsError): void {
    for (const session of this.#sessions.values()) session.fail(error)
  }

  close(): void {
    for (const session of this.#sessions.values()) session.close()
  }

  async inference(stream: ServedStream<'inference'>): Promise<void> {
    const open = await firstMessage(stream)
    if (open.kind !== 'open') throw new PetalsError('SESSION_REQUEST', 'an inference stream begins with "open"')
    const { context } = this.#modules
    const log = context.logOf(open.trace)
    const reserved = await context.reported('open', log, () => this.#reserve(stream, open))
    try {
      await this.#serve(stream, open, reserved, log)
    } finally {
      reserved.giveBack()
    }
  }

  /** Serves a session until its stream has ended. */
  async #serve(
    stream: ServedStream<'inference'>,
    open: OpenRequest,
    { engine, dtype, heldBy }: Reserved,
    log: TracedLogger,
  ): Promise<void> {
    const { context } = this.#modules
    const { sessionId, start, end, maxLength } = open
    const session = new ServedSession(
      {
        stream,
        engine,
        dtype,
        wireDType: askedWireDType(open.wireDType),
        openPush: (peerId, sessionId) => this.#openPush(peerId, sessionId, stream.remotePeer),
        findSession: (id) => this.#sessions.get(id),
        outputBudget: this.outputBudget,
        sent: context.node.peerGuard.sent,
        admitTokens: (tokens) => context.admitTokens(stream.remotePeer, tokens),
        onStep: (step) => this.#stepped(open, step),
        onParked: () => {
          if (this.#draining) this.#clearParked()
        },
        pace: context.pace,
        numBlocks: end - start,
        onFailure: (kind, error) => context.report(kind, log, error),
      },
      { idleMs: this.#options.sessionIdleMs },
    )
    this.#sessions.set(sessionId, session)
    heldBy(holderOf(session))
    const openedAt = performance.now()
    context.stats.sessionsOpened += 1
    log.debug({ peerId: stream.remotePeer, start, end, maxLength }, 'session opened')
    try {
      await stream.send({ kind: 'opened' })
      await listen(stream, (message) => session.handle(message))
    } finally {
      log.debug({ tokens: session.position }, 'session closed')
      context.stats.emit('session', (performance.now() - openedAt) / 1000)
      session.close()
      this.#sessions.delete(sessionId)
    }
  }

  /** Takes what a session needs: room in the cache, and for its deep prompts. */
  async #reserve(stream: ServedStream<'inference'>, open: OpenRequest): Promise<Reserved> {
    // Checked and noted in one turn: of two requests with one id the second is refused.
    const engine = this.#modules.context.engineFor(open.modelKey)
    this.#checkOpen(open)
    const { sessionId, start, end, maxLength, allocTimeoutMs, adapter, prompts } = open
    const client = stream.remotePeer
    const convertedBytes =
      prompts === undefined || prompts.dtype === engine.dtype ? 0 : byteLength(engine.dtype, prompts.shape)
    const giveBackConverted = this.#payForPrompts(client, convertedBytes)
    this.#opening.add(sessionId)
    try {
      const timeoutMs = Math.min(allocTimeoutMs, this.#options.maxAllocTimeoutMs)
      const signal = goneSignal(stream)
      const makeRoom = (): boolean => this.#shares.makeRoom(client)
      const { taken, heldBy, giveBack } = await this.#shares.take(client, maxLength, engine.cacheTokens, () =>
        engine.openSession({ start, end, maxLength, adapter, prompts, client, timeoutMs, signal, makeRoom }),
      )
      const giveAllBack = (): void => {
        giveBack()
        giveBackConverted()
      }
      return { engine: taken, dtype: engine.dtype, heldBy, giveBack: giveAllBack }
    } catch (error) {
      giveBackConverted()
      throw error
    } finally {
      this.#opening.delete(sessionId)
    }
  }

  /**
   * Counts the copy of deep prompts in the span's dtype, where theirs is another: it is kept as long as their session,
   * as they are. Returns what ends that.
   */
  #payForPrompts(peerId: string, bytes: number): () => void {
    if (bytes === 0) return () => undefined
    const { received } = this.#modules.context.node.peerGuard
    if (!received.tryTake(peerId, bytes))
      throw new PetalsError(
        'SWARM_BUSY',
        `there is no room for ${bytes} bytes of deep prompts beside what this peer holds`,
      )
    return () => received.give(peerId, bytes)
  }

  #checkOpen({ sessionId, wireDType }: OpenRequest): void {
    askedWireDType(wireDType)
    if (this.#sessions.has(sessionId) || this.#opening.has(sessionId))
      throw new PetalsError('SESSION_REQUEST', 'there is a session of this id already')
    if (this.#draining) throw new PetalsError('DRAINING', 'this server is about to stop and takes no new sessions')
  }

  /**
   * Tells clients what their sessions are doing: on a stream of its own, since a client asks when something is late,
   * and the answer must wait neither behind a step that is being computed nor behind bulk data.
   */
  async control(stream: ServedStream<'control'>): Promise<void> {
    for (let asked = await stream.receive(); asked !== null; asked = await stream.receive()) {
      const session = this.#sessions.get(asked.sessionId)
      if (session?.client !== stream.remotePeer) throw unknownSession()
      await stream.send({ kind: 'status', ...session.progress(asked.request) })
    }
  }

  /** Takes steps from the server before, which the client has named. */
  async push(stream: ServedStream<'push'>): Promise<void> {
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

  /** Opens a push stream to the next server that a client has named. Throws `HOP_UNREACHABLE`, or what it answers. */
  async #openPush(peerId: string, sessionId: string, clientId: string): Promise<RequestStream<'push'>> {
    const { context, admitHop } = this.#modules
    const stream = await context.node.open(await admitHop(peerId, clientId), 'push').catch((error: unknown) => {
      const log = { peerId, clientId, code: errorCode(error), reason: errorMessage(error) }
      context.logger.debug(log, 'the next server was not reached')
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

  #clearParked(): void {
    this.#shares.clearParked(new PetalsError('DRAINING', 'this server is about to stop'))
  }

  #stepped(open: OpenRequest, { tokens, position, receivedMs, beganMs }: ComputedStep): void {
    const { stats, node } = this.#modules.context
    stats.stepped(tokens, (performance.now() - beganMs) / 1000)
    node.tracing?.served(open, 'step', receivedMs, {
      'petals.server': node.peerId,
      'petals.blocks': spanText([open.start, open.end]),
      'petals.tokens': tokens,
      'petals.position': position,
      'petals.waited_seconds': (beganMs - receivedMs) / 1000,
    })
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
