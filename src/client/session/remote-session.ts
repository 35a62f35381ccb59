import { PetalsError, TimeoutError } from '../../base/errors.ts'
import { RemoteError } from '../../swarm/errors.ts'
import type { Frame } from '../../swarm/frame.ts'
import type { FrameStream } from '../../swarm/frame-stream.ts'
import type { FrameHeader } from '../../swarm/wire.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { RouteSpan } from '../routing.ts'

export interface RemoteSessionEvents {
  /** The last server of a chain, or one that has no next, gives a step's output. */
  onOutput(session: RemoteSession, frame: Frame): void
  /** Hidden states that the server has sent on, for replay. */
  onCopies(session: RemoteSession, frame: Frame): void
  /** The server could not do a step, or not send it on. */
  onStepFailed(session: RemoteSession, header: FrameHeader): void
  /** The server is gone. */
  onLost(session: RemoteSession, error: Error): void
}

export interface OpenOptions {
  readonly sessionId: string
  readonly modelKey: string
  readonly maxLength: number
  readonly allocTimeoutMs: number
  readonly timeoutMs: number
}

interface Pending {
  readonly kind: string
  readonly resolve: (frame: Frame) => void
  readonly reject: (error: Error) => void
}

/** The client's end of a session on one server: requests with answers, and what comes unasked. */
export class RemoteSession {
  readonly span: RouteSpan
  readonly sessionId: string
  readonly #stream: FrameStream
  readonly #events: RemoteSessionEvents
  readonly #pending = new Map<number, Pending>()
  #nextRequest = 1
  #lost: Error | undefined

  /** Opens a session on a fresh stream. Throws `RemoteError` with the server's reason, or what the stream throws. */
  static async open(stream: FrameStream, span: RouteSpan, options: OpenOptions, events: RemoteSessionEvents): Promise<RemoteSession> {
    const { sessionId, modelKey, maxLength, allocTimeoutMs, timeoutMs } = options
    try {
      const open = { modelKey, start: span.start, end: span.end, maxLength, allocTimeoutMs }
      await stream.send({ header: { kind: 'open', sessionId, open }, tensors: [] })
      const answer = await stream.receive({ timeoutMs: timeoutMs + allocTimeoutMs })
      if (answer?.header.kind !== 'opened') throw new PetalsError('SESSION_REQUEST', `peer ${stream.remotePeer} did not open the session`)
    } catch (error) {
      stream.abort(error as Error)
      throw error
    }
    return new RemoteSession(stream, span, sessionId, events)
  }

  private constructor(stream: FrameStream, span: RouteSpan, sessionId: string, events: RemoteSessionEvents) {
    this.#stream = stream
    this.span = span
    this.sessionId = sessionId
    this.#events = events
    stream.onFrame({
      onFrame: (frame) => this.#onFrame(frame),
      onError: (error) => this.#onLost(error),
      onEnd: (error) => this.#onLost(error ?? new PetalsError('SESSION_CLOSED', `peer ${this.peerId} closed the session`)),
    })
  }

  get peerId(): string {
    return this.#stream.remotePeer
  }

  get lost(): Error | undefined {
    return this.#lost
  }

  /** Sends without waiting for an answer; a stream that fails reports itself through `onLost`. */
  send(frame: Frame): void {
    this.#stream.send(frame).catch((error: Error) => this.#onLost(error))
  }

  /** Sends a request and waits for its answer. Throws `TimeoutError`, `RemoteError`, or the reason of a lost stream. */
  async request(header: FrameHeader, answerKind: string, timeoutMs: number): Promise<Frame> {
    if (this.#lost !== undefined) throw this.#lost
    const step = header.kind === 'step' ? header.step! : REQUEST_BASE + this.#nextRequest++
    return this.#await(step, answerKind, { header: { ...header, step }, tensors: [] }, timeoutMs)
  }

  /** A step whose output comes straight back, however long it computes: whoever waits watches the server meanwhile. */
  async step(header: FrameHeader, hidden: Tensor): Promise<Tensor> {
    if (this.#lost !== undefined) throw this.#lost
    const answer = await this.#await(header.step!, 'output', { header: { ...header, kind: 'step', push: false }, tensors: [hidden] }, STEP_TIMEOUT_MS)
    return answer.tensors[0]!
  }

  async close(): Promise<void> {
    this.#lost ??= new PetalsError('SESSION_CLOSED', 'the session was closed')
    this.#rejectPending(this.#lost)
    await this.#stream.end()
  }

  /** Takes the server for dead. */
  giveUp(error: Error): void {
    this.#onLost(error)
    this.#stream.abort(error)
  }

  async #await(step: number, kind: string, frame: Frame, timeoutMs: number): Promise<Frame> {
    const { promise, resolve, reject } = Promise.withResolvers<Frame>()
    this.#pending.set(step, { kind, resolve, reject })
    const timer = setTimeout(() => reject(new TimeoutError(`peer ${this.peerId} did not answer "${frame.header.kind}"`, timeoutMs)), timeoutMs)
    try {
      this.send(frame)
      return await promise
    } finally {
      clearTimeout(timer)
      this.#pending.delete(step)
    }
  }

  #onFrame(frame: Frame): void {
    const { header, tensors } = frame
    const pending = this.#pending.get(header.step ?? 0)
    if (header.kind === 'failed' && pending !== undefined) return pending.reject(new RemoteError(this.peerId, header))
    if (pending !== undefined && pending.kind === header.kind) return pending.resolve(frame)
    if (header.kind === 'output') return this.#events.onOutput(this, frame)
    if (header.kind === 'failed' || header.kind === 'broken') return this.#events.onStepFailed(this, header)
    if (header.kind === 'copies' && tensors[0] !== undefined) {
      this.#events.onCopies(this, frame)
      this.send({ header: { kind: 'ack', until: (header.position ?? 0) + tensors[0].shape[0]! }, tensors: [] })
    }
  }

  #onLost(error: Error): void {
    if (this.#lost !== undefined) return
    this.#lost = error
    this.#rejectPending(error)
    this.#events.onLost(this, error)
  }

  #rejectPending(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }
}

/** Longer than any chunk computes. */
const STEP_TIMEOUT_MS = 600_000

/** Requests other than steps are numbered from here, so that an answer is never taken for a step's. */
const REQUEST_BASE = 0x80000000
