import { PetalsError } from '../base/errors.ts'
import type { Engine } from '../engine/engine.ts'
import type { Frame } from '../swarm/frame.ts'
import type { FrameStream } from '../swarm/frame-stream.ts'
import type { SwarmLogger, SwarmNode } from '../swarm/node.ts'
import type { FrameHeader, Hop } from '../swarm/wire.ts'
import { convert } from '../tensor/convert.ts'
import { InferenceSession } from './inference-session.ts'

export interface BlockServerModules {
  readonly node: SwarmNode
  readonly engine: Engine
  readonly logger: SwarmLogger
}

export interface BlockServerOptions {
  readonly modelKey: string
  /** The longest that a session may wait for cache, whatever it asks for. */
  readonly maxAllocTimeoutMs: number
  /** A session that its client leaves alone for so long gives its cache back; the client can replay it. */
  readonly sessionIdleMs: number
}

const FIRST_FRAME_TIMEOUT_MS = 10_000

/** A forward request waits this long for cache to compute in. */
const FORWARD_ALLOC_TIMEOUT_MS = 60_000

/** Answers the requests for a span: `inference` and `push` streams, `forward`, `probe`. */
export class BlockServer {
  readonly #modules: BlockServerModules
  readonly #options: BlockServerOptions
  readonly #sessions = new Map<string, InferenceSession>()
  /** Ids of sessions that still wait for cache. */
  readonly #opening = new Set<string>()
  #draining = false

  constructor(modules: BlockServerModules, options: BlockServerOptions) {
    this.#modules = modules
    this.#options = options
  }

  get numSessions(): number {
    return this.#sessions.size
  }

  async start(): Promise<void> {
    const { node } = this.#modules
    await node.handle('inference', (stream) => this.#inference(stream))
    await node.handle('push', (stream) => this.#push(stream))
    await node.handle('forward', (stream) => this.#forward(stream))
    await node.handle('probe', (stream) => this.#forward(stream))
  }

  /** Sessions that are open go on; new ones are refused with `DRAINING`. */
  drain(): void {
    this.#draining = true
  }

  async stop(): Promise<void> {
    for (const rpc of ['inference', 'push', 'forward', 'probe'] as const) await this.#modules.node.unhandle(rpc)
    for (const session of this.#sessions.values()) session.close()
  }

  async #inference(stream: FrameStream): Promise<void> {
    const { engine, node, logger } = this.#modules
    const { sessionId, open } = this.#checkOpen((await this.#firstFrame(stream)).header)
    const gone = new AbortController()
    void stream.closed.then(() => gone.abort(new PetalsError('SESSION_CLOSED', 'the client went away')))
    this.#opening.add(sessionId)
    const cache = await engine.openSession({
      start: open.start, end: open.end, maxLength: open.maxLength,
      timeoutMs: Math.min(open.allocTimeoutMs, this.#options.maxAllocTimeoutMs), signal: gone.signal,
    }).finally(() => this.#opening.delete(sessionId))
    const session = new InferenceSession({
      stream, engine: cache, dtype: engine.dtype, openPush: (hop) => openPush(node, hop),
    }, { idleMs: this.#options.sessionIdleMs })
    this.#sessions.set(sessionId, session)
    logger.debug({ sessionId, start: open.start, end: open.end, maxLength: open.maxLength }, 'session opened')
    try {
      await stream.send({ header: { kind: 'opened', sessionId }, tensors: [] })
      await listen(stream, (frame) => session.handle(frame, false))
    } finally {
      session.close()
      this.#sessions.delete(sessionId)
      logger.debug({ sessionId }, 'session closed')
    }
  }

  /** The session's name is the right to push into it: only its client knows it, and tells nobody but the server before. */
  async #push(stream: FrameStream): Promise<void> {
    const { header: { sessionId = '' } } = await this.#firstFrame(stream)
    const session = this.#sessions.get(sessionId)
    if (session === undefined) throw new PetalsError('SESSION_UNKNOWN', 'this server holds no such session')
    await stream.send({ header: { kind: 'opened', sessionId }, tensors: [] })
    await listen(stream, (frame) => session.handle(frame, true))
  }

  async #forward(stream: FrameStream): Promise<void> {
    const { engine } = this.#modules
    const { header, tensors: [hidden] } = await this.#firstFrame(stream)
    this.#checkModel(header.modelKey)
    if (hidden === undefined || hidden.shape.length !== 3) {
      throw new PetalsError('TENSOR_SHAPE', `forward takes one tensor [batch, tokens, ${engine.config.hiddenSize}]`)
    }
    const gone = new AbortController()
    void stream.closed.then(() => gone.abort(new PetalsError('SESSION_CLOSED', 'the client went away')))
    const output = await engine.forward(convert(hidden, engine.dtype), {
      start: header.start ?? engine.start, end: header.end ?? engine.end, timeoutMs: FORWARD_ALLOC_TIMEOUT_MS, signal: gone.signal,
    })
    await stream.send({ header: { kind: 'output' }, tensors: [output] })
  }

  async #firstFrame(stream: FrameStream): Promise<Frame> {
    const frame = await stream.receive({ timeoutMs: FIRST_FRAME_TIMEOUT_MS })
    if (frame === null) throw new PetalsError('SESSION_REQUEST', 'the stream ended before a request came')
    return frame
  }

  #checkOpen({ kind, sessionId, open }: FrameHeader): { sessionId: string, open: NonNullable<FrameHeader['open']> } {
    if (kind !== 'open' || open === undefined || !/^[0-9a-f]{32}$/.test(sessionId ?? '')) {
      throw new PetalsError('SESSION_REQUEST', 'an inference stream begins with "open" and a session id of 32 hex digits')
    }
    this.#checkModel(open.modelKey)
    if (this.#sessions.has(sessionId!) || this.#opening.has(sessionId!)) throw new PetalsError('SESSION_REQUEST', 'there is a session of this id already')
    if (this.#draining) throw new PetalsError('DRAINING', 'this server is about to stop and takes no new sessions')
    return { sessionId: sessionId!, open }
  }

  #checkModel(modelKey: string | undefined): void {
    if (modelKey === this.#options.modelKey) return
    throw new PetalsError('MODEL_UNKNOWN', `this server holds ${this.#options.modelKey}, not ${modelKey}`)
  }
}

async function openPush(node: SwarmNode, hop: Hop): Promise<FrameStream> {
  const stream = await node.open(hop, 'push')
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

/** Hands over every frame until the stream ends, in order or not. */
function listen(stream: FrameStream, onFrame: (frame: Frame) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  stream.onFrame({ onFrame, onError: () => undefined, onEnd: () => resolve() })
  return promise
}
