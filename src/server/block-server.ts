import { PetalsError, errorCode, errorMessage } from '../base/errors.ts'
import type { Engine, SessionOptions } from '../engine/engine.ts'
import type { PeerTarget } from '../swarm/address.ts'
import type { Frame } from '../swarm/frames/frame.ts'
import type { FrameStream } from '../swarm/frames/frame-stream.ts'
import type { SwarmLogger, SwarmNode } from '../swarm/node/node.ts'
import { type TracedLogger, tracedLogger } from '../swarm/node/trace.ts'
import type { FrameHeader, Hop } from '../swarm/frames/wire.ts'
import { convertInPieces } from '../tensor/convert.ts'
import { CacheShares } from './cache-shares.ts'
import type { ClientAdapters } from './client-adapters.ts'
import { OutputBudget } from './output-budget.ts'
import { ServedSession } from './served-session.ts'
import { ServerStats } from './server-stats.ts'

export interface BlockServerModules {
  readonly node: SwarmNode
  readonly engine: Engine
  readonly logger: SwarmLogger
  /** Where clients may bring adapters of their own. */
  readonly clientAdapters?: ClientAdapters | undefined
  /** Where the next server that a client names may be dialled; throws where it may not. */
  readonly findHop: (hop: Hop, clientId: string) => Promise<PeerTarget>
}

export interface BlockServerOptions {
  readonly modelKey: string
  /** The longest that a session may wait for cache, whatever it asks for. */
  readonly maxAllocTimeoutMs: number
  /** A session that its client leaves alone for so long gives its cache back; the client can replay it. */
  readonly sessionIdleMs: number
}

type ReserveRequest = NonNullable<FrameHeader['open']> & Pick<SessionOptions, 'adapter' | 'prompts'>

const FIRST_FRAME_TIMEOUT_MS = 10_000

/** A forward request that is not done by then is given up: whoever asked for so much asks for less at a time. */
const FORWARD_TIMEOUT_MS = 600_000

const RPCS = ['inference', 'push', 'forward', 'probe', 'adapter'] as const

/** Answers the requests for a span: `inference` and `push` streams, `forward`, `probe`. */
export class BlockServer {
  readonly stats = new ServerStats()
  readonly outputBudget = new OutputBudget()
  readonly #modules: BlockServerModules
  readonly #options: BlockServerOptions
  readonly #shares = new CacheShares()
  readonly #sessions = new Map<string, ServedSession>()
  /** Ids of sessions that still wait for cache. */
  readonly #opening = new Set<string>()
  #engine: Engine
  /** Why nothing is served just now. */
  #suspended: PetalsError | undefined
  #draining = false

  constructor(modules: BlockServerModules, options: BlockServerOptions) {
    this.#modules = modules
    this.#options = options
    this.#engine = modules.engine
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
    await node.handle('push', (stream) => this.#push(stream))
    await node.handle('forward', (stream) => this.#forward(stream))
    await node.handle('adapter', (stream) => this.#adapter(stream))
    await node.handle('probe', (stream) => this.#forward(stream))
  }

  /** Sessions that are open go on; new ones are refused with `DRAINING`. */
  drain(): void {
    this.#draining = true
  }

  /** Ends all sessions with this error and answers every request with it, until `resume`. */
  suspend(error: PetalsError): void {
    this.#suspended = error
    for (const session of this.#sessions.values()) session.fail(error)
  }

  /** Serves from this engine now. */
  resume(engine: Engine): void {
    this.#engine = engine
    this.#suspended = undefined
  }

  async stop(): Promise<void> {
    for (const rpc of RPCS) await this.#modules.node.unhandle(rpc)
    for (const session of this.#sessions.values()) session.close()
  }

  async #inference(stream: FrameStream): Promise<void> {
    const {
      header,
      tensors: [prompts],
    } = await this.#firstFrame(stream)
    const log = tracedLogger(this.#modules.logger, header.trace)
    let session: ServedSession | undefined
    const { sessionId, open } = await this.#orReport('open', log, async () => this.#checkOpen(header))
    const { taken: cache, giveBack } = await this.#orReport('open', log, () =>
      this.#reserve(stream, sessionId, { ...open, adapter: header.adapter, prompts }),
    )
    try {
      session = new ServedSession(
        {
          stream,
          engine: cache,
          dtype: this.#engine.dtype,
          openPush: (hop) => this.#openPush(hop, stream.remotePeer),
          findSession: (id) => this.#sessions.get(id),
          outputBudget: this.outputBudget,
          onStep: (tokens) => this.#countStep(tokens),
          onFailure: (kind, error) => this.#report(kind, log, error),
        },
        { idleMs: this.#options.sessionIdleMs },
      )
      this.#sessions.set(sessionId, session)
      this.stats.sessionsOpened += 1
      log.debug(
        { peerId: stream.remotePeer, start: open.start, end: open.end, maxLength: open.maxLength },
        'session opened',
      )
      await stream.send({ header: { kind: 'opened', sessionId }, tensors: [] })
      await listen(stream, (frame) => session?.handle(frame, false))
    } finally {
      log.debug({ tokens: session?.position }, 'session closed')
      session?.close()
      this.#sessions.delete(sessionId)
      giveBack()
    }
  }

  async #reserve(
    stream: FrameStream,
    sessionId: string,
    { start, end, maxLength, allocTimeoutMs, adapter, prompts }: ReserveRequest,
  ) {
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
        }),
      )
    } finally {
      this.#opening.delete(sessionId)
    }
  }

  /**
   * The session's name is the right to push into it: only its client knows it, and tells nobody but the server before.
   */
  async #push(stream: FrameStream): Promise<void> {
    const {
      header: { sessionId = '' },
    } = await this.#firstFrame(stream)
    const session = this.#sessions.get(sessionId)
    if (session === undefined) throw new PetalsError('SESSION_UNKNOWN', 'this server holds no such session')
    await stream.send({ header: { kind: 'opened', sessionId }, tensors: [] })
    await listen(stream, (frame) => session.handle(frame, true))
  }

  async #forward(stream: FrameStream): Promise<void> {
    const {
      header,
      tensors: [hidden, prompts],
    } = await this.#firstFrame(stream)
    const log = tracedLogger(this.#modules.logger, header.trace)
    const output = await this.#orReport(header.kind, log, async () => {
      this.#checkServes(header.modelKey)
      const engine = this.#engine
      if (hidden === undefined || hidden.shape.length !== 3) {
        throw new PetalsError('TENSOR_SHAPE', `forward takes one tensor [batch, tokens, ${engine.config.hiddenSize}]`)
      }
      const gone = new AbortController()
      void stream.closed.then(() => gone.abort(new PetalsError('SESSION_CLOSED', 'the client went away')))
      return await engine.forward(await convertInPieces(hidden, engine.dtype), {
        start: header.start ?? engine.start,
        end: header.end ?? engine.end,
        adapter: header.adapter,
        prompts,
        client: stream.remotePeer,
        timeoutMs: FORWARD_TIMEOUT_MS,
        signal: gone.signal,
      })
    })
    log.debug({ peerId: stream.remotePeer, tokens: output.shape[1] }, 'forward done')
    await stream.send({ header: { kind: 'output' }, tensors: [output] })
  }

  async #adapter(stream: FrameStream): Promise<void> {
    const { header } = await this.#firstFrame(stream)
    await this.#orReport('adapter', tracedLogger(this.#modules.logger, header.trace), async () => {
      this.#checkServes(header.modelKey)
      const { clientAdapters } = this.#modules
      if (clientAdapters === undefined)
        throw new PetalsError('ADAPTER_REFUSED', 'this server takes no adapters of clients')
      await clientAdapters.receive(stream, header.adapter ?? '', this.#engine)
    })
  }

  async #openPush(hop: Hop, clientId: string): Promise<FrameStream> {
    const { node, findHop } = this.#modules
    const stream = await node.open(await findHop(hop, clientId), 'push')
    try {
      await stream.send({ header: { kind: 'open', sessionId: hop.sessionId }, tensors: [] })
      const answer = await stream.receive({ timeoutMs: FIRST_FRAME_TIMEOUT_MS })
      if (answer === null) throw new PetalsError('SESSION_REQUEST', 'the next server did not take the stream')
    } catch (error) {
      stream.abort(error as Error)
      throw error
    }
    return stream
  }

  async #firstFrame(stream: FrameStream): Promise<Frame> {
    const frame = await stream.receive({ timeoutMs: FIRST_FRAME_TIMEOUT_MS })
    if (frame === null) throw new PetalsError('SESSION_REQUEST', 'the stream ended before a request came')
    return frame
  }

  #checkOpen({ kind, sessionId, open }: FrameHeader): { sessionId: string; open: NonNullable<FrameHeader['open']> } {
    if (kind !== 'open' || open === undefined || !/^[0-9a-f]{32}$/.test(sessionId ?? '')) {
      throw new PetalsError(
        'SESSION_REQUEST',
        'an inference stream begins with "open" and a session id of 32 hex digits',
      )
    }
    this.#checkServes(open.modelKey)
    if (this.#sessions.has(sessionId!) || this.#opening.has(sessionId!))
      throw new PetalsError('SESSION_REQUEST', 'there is a session of this id already')
    if (this.#draining) throw new PetalsError('DRAINING', 'this server is about to stop and takes no new sessions')
    return { sessionId: sessionId!, open }
  }

  #checkServes(modelKey: string | undefined): void {
    if (modelKey !== this.#options.modelKey) {
      throw new PetalsError('MODEL_UNKNOWN', `this server holds ${this.#options.modelKey}, not ${modelKey}`)
    }
    if (this.#suspended !== undefined) throw this.#suspended
  }

  #countStep(tokens: number): void {
    this.stats.steps += 1
    this.stats.stepTokens += tokens
  }

  async #orReport<T>(kind: string, log: TracedLogger, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      this.#report(kind, log, error)
      throw error
    }
  }

  #report(kind: string, log: TracedLogger, error: unknown): void {
    this.stats.failed(error)
    log.debug({ kind, code: errorCode(error), reason: errorMessage(error) }, 'a request failed')
  }
}

/** Hands over every frame until the stream ends, in order or not. */
function listen(stream: FrameStream, onFrame: (frame: Frame) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  stream.onFrame({ onFrame, onError: () => undefined, onEnd: () => resolve() })
  return promise
}
