import { PetalsError, TimeoutError } from '../../base/errors.ts'
import { RemoteError } from '../../swarm/frames/remote-error.ts'
import type { Frame } from '../../swarm/frames/frame.ts'
import type { FrameStream } from '../../swarm/frames/frame-stream.ts'
import type { FrameHeader } from '../../swarm/frames/wire.ts'
import { convert } from '../../tensor/convert.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { RouteSpan } from '../remote/routing.ts'

export interface RemoteSessionEvents {
  /** The last server of a chain, or one that has no next, gives a step's output. */
  onOutput(session: RemoteSession, frame: Frame): void
  /** Hidden states that the server has sent on, for replay. Returns up to where they are held now. */
  onCopies(session: RemoteSession, frame: Frame): number | undefined
  /** The server could not do a step, or not send it on. */
  onStepFailed(session: RemoteSession, header: FrameHeader): void
  /** The server is gone. */
  onLost(session: RemoteSession, error: Error): void
}

export interface OpenOptions {
  readonly sessionId: string
  readonly modelKey: string
  readonly maxLength: number
  readonly hiddenSize: number
  readonly allocTimeoutMs: number
  readonly timeoutMs: number
  readonly trace?: string | undefined
  /** What the server calls the session's adapter. */
  readonly adapter?: string | undefined
  /** Deep prompts of the span's blocks. */
  readonly prompts?: Tensor | undefined
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
  readonly #hiddenSize: number
  readonly #stream: FrameStream
  readonly #events: RemoteSessionEvents
  readonly #pending = new Map<number, Pending>()
  #nextRequest = 1
  #lost: Error | undefined

  /** Opens a session on a fresh stream. Throws `RemoteError` with the server's reason, or what the stream throws. */
  static async open(
    stream: FrameStream,
    span: RouteSpan,
    options: OpenOptions,
    events: RemoteSessionEvents,
  ): Promise<RemoteSession> {
    const { sessionId, modelKey, maxLength, allocTimeoutMs, timeoutMs, trace, adapter, prompts } = options
    try {
      const open = { modelKey, start: span.start, end: span.end, maxLength, allocTimeoutMs }
      await stream.send({
        header: {
          kind: 'open',
          sessionId,
          open,
          ...(trace !== undefined && { trace }),
          ...(adapter !== undefined && { adapter }),
        },
        tensors: prompts === undefined ? [] : [prompts],
      })
      const answer = await stream.receive({ timeoutMs: timeoutMs + allocTimeoutMs })
      if (answer?.header.kind !== 'opened')
        throw new PetalsError('SESSION_REQUEST', `peer ${stream.remotePeer} did not open the session`)
    } catch (error) {
      stream.abort(error as Error)
      throw error
    }
    return new RemoteSession(stream, span, options, events)
  }

  private constructor(
    stream: FrameStream,
    span: RouteSpan,
    { sessionId, hiddenSize }: OpenOptions,
    events: RemoteSessionEvents,
  ) {
    this.#stream = stream
    this.span = span
    this.sessionId = sessionId
    this.#hiddenSize = hiddenSize
    this.#events = events
    stream.onFrame({
      onFrame: (frame) => this.#onFrame(frame),
      onError: (error) => this.#onLost(error),
      onEnd: (error) =>
        this.#onLost(error ?? new PetalsError('SESSION_LOST', `peer ${this.peerId} closed the session`)),
    })
  }

  get peerId(): string {
    return this.#stream.remotePeer
  }

  get lost(): Error | undefined {
    return this.#lost
  }

  /** Resolves once the frame is on its way; a stream that fails reports itself through `onLost`. */
  async send(frame: Frame): Promise<void> {
    await this.#stream.send(frame).catch((error: Error) => this.#onLost(error))
  }

  /** Sends a request and waits for its answer. Throws `TimeoutError`, `RemoteError`, or the reason of a lost stream. */
  request(header: FrameHeader, answerKind: string, timeoutMs: number): Promise<Frame> {
    return this.#ask(REQUEST_BASE + this.#nextRequest++, answerKind, { header, tensors: [] }, timeoutMs).answer
  }

  /** A step whose output comes straight back, however long it computes: whoever waits watches the server meanwhile. */
  step(header: FrameHeader, hidden: Tensor): { sent: Promise<void>; output: Promise<Tensor> } {
    const { sent, answer } = this.#ask(
      header.step!,
      'output',
      { header: { ...header, kind: 'step', push: false }, tensors: [hidden] },
      STEP_TIMEOUT_MS,
    )
    return { sent, output: answer.then(({ tensors }) => tensors[0]!) }
  }

  async close(): Promise<void> {
    this.#lost ??= new PetalsError('SESSION_CLOSED', 'the session was closed')
    this.#rejectPending(this.#lost)
    await this.#stream.end()
  }

  /** Takes the server for dead. */
  giveUp(error: Error): void {
    this.#onLost(error)
  }

  #ask(
    step: number,
    kind: string,
    { header, tensors }: Frame,
    timeoutMs: number,
  ): { sent: Promise<void>; answer: Promise<Frame> } {
    const { promise, resolve, reject } = Promise.withResolvers<Frame>()
    if (this.#lost !== undefined) reject(this.#lost)
    this.#pending.set(step, { kind, resolve, reject })
    // One more turn of the event loop: after a pause of this process the answer may lie there unread.
    const timer = setTimeout(
      () =>
        setImmediate(() => reject(new TimeoutError(`peer ${this.peerId} did not answer "${header.kind}"`, timeoutMs))),
      timeoutMs,
    )
    const answer = promise.finally(() => {
      clearTimeout(timer)
      this.#pending.delete(step)
    })
    answer.catch(() => undefined)
    return { sent: this.send({ header: { ...header, step }, tensors }), answer }
  }

  /** A peer's hidden states as float32 [tokens, hidden], whatever it computes in. Throws `TENSOR_SHAPE`. */
  #checked({ header, tensors }: Frame): Frame {
    for (const { shape } of tensors) {
      if (shape.length === 2 && shape[1] === this.#hiddenSize) continue
      throw new PetalsError(
        'TENSOR_SHAPE',
        `peer ${this.peerId} sent a tensor [${shape}]: expected [tokens, ${this.#hiddenSize}]`,
      )
    }
    return { header, tensors: tensors.map((tensor) => convert(tensor, 'float32')) }
  }

  #onFrame(raw: Frame): void {
    let frame: Frame
    try {
      frame = this.#checked(raw)
    } catch (error) {
      return this.giveUp(error as Error)
    }
    const { header, tensors } = frame
    const pending = this.#pending.get(header.step ?? 0)
    const failed = header.kind === 'failed' || header.kind === 'broken'
    if (failed && pending !== undefined) return pending.reject(new RemoteError(this.peerId, header))
    if (pending !== undefined && pending.kind === header.kind) return pending.resolve(frame)
    if (header.kind === 'output') return this.#events.onOutput(this, frame)
    if (failed) return this.#events.onStepFailed(this, header)
    if (header.kind === 'copies' && tensors[0] !== undefined) {
      const until = this.#events.onCopies(this, frame)
      if (until !== undefined) void this.send({ header: { kind: 'ack', until }, tensors: [] })
    }
  }

  #onLost(error: Error): void {
    if (this.#lost !== undefined) return
    this.#lost = error
    this.#rejectPending(error)
    this.#stream.abort(error)
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
