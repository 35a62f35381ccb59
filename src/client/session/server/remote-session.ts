// Room server/: a session on one server, what it is asked, and whether it still lives.

import type { RequestTrace } from '../../../swarm/node/trace.ts'
import { PetalsError, TimeoutError } from '../../../base/errors.ts'
import { RemoteError } from '../../../swarm/frames/remote-error.ts'
import type { RequestStream } from '../../../swarm/frames/frame-stream.ts'
import type { Answer, Request, StepMessage } from '../../../swarm/frames/messages.ts'
import { type Activations, activationBytes } from '../../../tensor/activations.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { allFinite } from '../../../tensor/finite.ts'
import type { RouteSpan } from '../../remote/routes/route-request.ts'
import { type WireChoice, agreedWireDType, answerDType, encodeOwn, passOn } from '../../remote/routes/wire-dtype.ts'
import { wrongAnswer } from '../../remote/wrong-answer.ts'
import { type DueRows, dueRows, wrongCount, wrongPlace } from './answered-rows.ts'
import { ControlStream, type Progress } from './control-stream.ts'

type AnswerOf<K extends Answer<'inference'>['kind']> = Extract<Answer<'inference'>, { kind: K }>

/** Answers that name the request they answer, and the requests that are answered so. */
type NumberedAnswer = Extract<Answer<'inference'>, { request: number }>
type NumberedRequest = Extract<Request<'inference'>, { request: number }>
type WithoutNumber<M> = M extends unknown ? Omit<M, 'request'> : never

/** What a server sends without being asked. */
export interface RemoteSessionEvents {
  /** The output of a step, from the chain's last server or from one without a next server. */
  onOutput(session: RemoteSession, output: AnswerOf<'output' | 'computed'>): void
  /** The server could not do a step, or not push its output. */
  onStepFailed(session: RemoteSession, failure: AnswerOf<'failed' | 'broken'>): void
  /** The server is lost. */
  onLost(session: RemoteSession, error: Error): void
  /** A message of so many bytes was taken in so many milliseconds. */
  onSent(session: RemoteSession, bytes: number, ms: number): void
}

/** What a session is opened with. */
export interface OpenOptions extends RequestTrace {
  readonly sessionId: string
  readonly modelKey: string
  readonly maxLength: number
  readonly hiddenSize: number
  readonly allocTimeoutMs: number
  readonly timeoutMs: number
  /** The adapter's name on the server. */
  readonly adapter?: string | undefined
  /** Deep prompts of the span's blocks. */
  readonly prompts?: Tensor | undefined
  /** The form in which hidden states are to travel, where the server's record has it. */
  readonly wireDType: WireChoice
}

/** Opens the stream on which the server is asked what the session is doing. */
export type OpenControl = (signal: AbortSignal) => Promise<RequestStream<'control'>>

interface Pending<T> {
  readonly resolve: (answer: T) => void
  readonly reject: (error: Error) => void
}

/**
 * The client's side of a session on one server: sends requests, matches answers to them, and reports what comes
 * unasked.
 */
export class RemoteSession {
  readonly span: RouteSpan
  readonly sessionId: string
  readonly #hiddenSize: number
  readonly #wireDType: WireChoice
  readonly #stream: RequestStream<'inference'>
  readonly #events: RemoteSessionEvents
  /** Unanswered requests, by number; `#steps` holds steps whose outputs come straight back, by the step's number. */
  readonly #requests = new Map<number, Pending<NumberedAnswer> & { readonly answerKind: string }>()
  readonly #steps = new Map<number, Pending<Activations | undefined> & { readonly due: DueRows }>()
  readonly #control: ControlStream
  #nextRequest = 1
  #lost: Error | undefined

  /** Opens a session on a new stream. Throws `RemoteError` with the server's reason, or what the stream throws. */
  static async open(
    stream: RequestStream<'inference'>,
    span: RouteSpan,
    options: OpenOptions,
    events: RemoteSessionEvents,
    openControl: OpenControl,
  ): Promise<RemoteSession> {
    const { sessionId, modelKey, maxLength, allocTimeoutMs, timeoutMs, adapter, prompts, wireDType } = options
    try {
      const { start, end } = span
      await stream.send({
        kind: 'open',
        sessionId,
        modelKey,
        start,
        end,
        maxLength,
        allocTimeoutMs,
        trace: options.trace,
        traceContext: options.traceContext,
        adapter,
        prompts,
        wireDType: agreedWireDType(span.server, wireDType),
      })
      const answer = await stream.receive({ timeoutMs: timeoutMs + allocTimeoutMs })
      if (answer?.kind !== 'opened')
        throw new PetalsError('SESSION_REQUEST', `peer ${stream.remotePeer} did not open the session`)
    } catch (error) {
      stream.abort(error as Error)
      throw error
    }
    return new RemoteSession(stream, span, options, events, openControl)
  }

  private constructor(
    stream: RequestStream<'inference'>,
    span: RouteSpan,
    { sessionId, hiddenSize, wireDType }: OpenOptions,
    events: RemoteSessionEvents,
    openControl: OpenControl,
  ) {
    this.#control = new ControlStream(sessionId, openControl)
    this.#stream = stream
    this.span = span
    this.sessionId = sessionId
    this.#hiddenSize = hiddenSize
    this.#wireDType = wireDType
    this.#events = events
    stream.listen({
      onMessage: (message) => this.#onMessage(message),
      onError: (error) => this.#onLost(error),
      onEnd: (error) =>
        this.#onLost(error ?? new PetalsError('SESSION_LOST', `peer ${this.peerId} closed the session`)),
    })
  }

  get peerId(): string {
    return this.#stream.remotePeer
  }

  /** The form in which the server takes and gives hidden states; undefined: floats, its own dtype. */
  get wireDType(): string | undefined {
    return agreedWireDType(this.span.server, this.#wireDType)
  }

  /** Bytes of a token's hidden states as the server sends them. */
  get rowBytes(): number {
    return activationBytes(this.#answerDType as Activations['dtype'], [1, this.#hiddenSize])
  }

  get #answerDType(): string {
    return answerDType(this.span.server, this.#wireDType)
  }

  /** The client's own hidden states as they are sent to this server. Throws `WIRE_DTYPE`. */
  encodeOwn(values: Tensor): Promise<Activations> {
    return encodeOwn(values, this.span.server, this.#wireDType)
  }

  /** What another server has made, as it is sent on to this one. */
  passOn(hidden: Activations): Promise<Activations> {
    return passOn(hidden, this.span.server)
  }

  get lost(): Error | undefined {
    return this.#lost
  }

  /** Bytes that have gone either way on the session's stream. */
  get bytesMoved(): number {
    return this.#stream.bytesRead + this.#stream.bytesTaken
  }

  /**
   * Resolves when the message is on its way. A failing stream is reported through `onLost`, not here. Throws
   * `SWARM_TOO_LARGE` for a message that no server would take.
   */
  async send(message: Request<'inference'>): Promise<void> {
    const began = performance.now()
    try {
      await this.#stream.send(message)
    } catch (error) {
      if (error instanceof PetalsError && error.code === 'SWARM_TOO_LARGE') throw error
      return this.#onLost(error as Error)
    }
    if ('hidden' in message) this.#events.onSent(this, message.hidden.data.byteLength, performance.now() - began)
  }

  /** Asks what the session is doing. Throws what the control stream throws; the session is not given up then. */
  status(timeoutMs: number): Promise<Progress> {
    return this.#lost === undefined ? this.#control.status(timeoutMs) : Promise.reject(this.#lost)
  }

  /**
   * Sends a request and waits for its answer. Throws `TimeoutError`, `RemoteError`, or the reason for which the server
   * was lost.
   */
  async request<K extends NumberedAnswer['kind']>(
    request: WithoutNumber<NumberedRequest>,
    answerKind: K,
    timeoutMs: number,
  ): Promise<AnswerOf<K>> {
    const number = this.#nextRequest++
    const { promise, resolve, reject } = Promise.withResolvers<NumberedAnswer>()
    this.#requests.set(number, { answerKind, resolve, reject })
    try {
      const answer = this.#answered(promise, reject, request.kind, timeoutMs)
      this.send({ ...request, request: number } as NumberedRequest).catch(reject)
      return (await answer) as AnswerOf<K>
    } finally {
      this.#requests.delete(number)
    }
  }

  /**
   * Sends a step whose output comes straight back: the wanted rows, undefined where none are. There is no time limit
   * worth mentioning: the caller watches whether the server is alive.
   */
  step(step: Omit<StepMessage, 'kind' | 'push'>): { sent: Promise<void>; output: Promise<Activations | undefined> } {
    const { promise, resolve, reject } = Promise.withResolvers<Activations | undefined>()
    this.#steps.set(step.step, { resolve, reject, due: dueRows(step) })
    const output = this.#answered(promise, reject, 'step', STEP_TIMEOUT_MS).finally(() => this.#steps.delete(step.step))
    output.catch(() => undefined)
    const sent = this.send({ kind: 'step', ...step, push: false })
    sent.catch(reject)
    return { sent, output }
  }

  async close(): Promise<void> {
    this.#lost ??= new PetalsError('SESSION_CLOSED', 'the session was closed')
    this.#rejectPending(this.#lost)
    this.#control.close(this.#lost)
    await this.#stream.end()
  }

  /** Treats the server as lost. */
  giveUp(error: Error): void {
    this.#onLost(error)
  }

  /** The promise, which is rejected when the time is over; `reject` rejects it. */
  async #answered<T>(promise: Promise<T>, reject: (e: Error) => void, kind: string, timeoutMs: number): Promise<T> {
    if (this.#lost !== undefined) reject(this.#lost)
    // When the time is over, waits one more turn of the event loop: after a pause of this process the answer may have
    // arrived unread.
    const timer = setTimeout(
      () => setImmediate(() => reject(new TimeoutError(`peer ${this.peerId} did not answer "${kind}"`, timeoutMs))),
      timeoutMs,
    )
    try {
      return await promise
    } finally {
      clearTimeout(timer)
    }
  }

  #onMessage(message: Answer<'inference'>): void {
    try {
      this.#check(message)
    } catch (error) {
      return this.giveUp(error as Error)
    }
    if ('request' in message) return this.#onAnswer(message)
    switch (message.kind) {
      case 'output':
      case 'computed': {
        const pending = this.#steps.get(message.step)
        if (pending === undefined) return this.#events.onOutput(this, message)
        const { due } = pending
        const wrong = wrongCount(this.peerId, message, due) ?? wrongPlace(this.peerId, message, due)
        if (wrong !== undefined) return this.giveUp(wrong)
        return pending.resolve(message.kind === 'output' ? message.hidden : undefined)
      }
      case 'failed':
      case 'broken': {
        const pending = this.#steps.get(message.step)
        if (pending === undefined) return this.#events.onStepFailed(this, message)
        return pending.reject(new RemoteError(this.peerId, message))
      }
    }
  }

  #onAnswer(answer: NumberedAnswer): void {
    const pending = this.#requests.get(answer.request)
    if (answer.kind === 'refused') pending?.reject(new RemoteError(this.peerId, answer))
    else if (answer.kind === pending?.answerKind) pending.resolve(answer)
  }

  /**
   * Throws `TENSOR_NONFINITE`, or `SESSION_ANSWER` for hidden states of another width, or in another form than was
   * agreed on: where none was, the dtype that the server's record has.
   */
  #check(message: Answer<'inference'>): void {
    if (!('hidden' in message)) return
    const { dtype, shape } = message.hidden
    if (dtype !== this.#answerDType) throw wrongAnswer(this.peerId, `${dtype} while ${this.#answerDType} was agreed on`)
    if (!allFinite(message.hidden))
      throw new PetalsError('TENSOR_NONFINITE', `peer ${this.peerId} sent values that are NaN or infinite`)
    if (shape[1] !== this.#hiddenSize)
      throw wrongAnswer(this.peerId, `a tensor [${shape}] for [tokens, ${this.#hiddenSize}]`)
  }

  #onLost(error: Error): void {
    if (this.#lost !== undefined) return
    this.#lost = error
    this.#rejectPending(error)
    this.#stream.abort(error)
    this.#control.close(error)
    this.#events.onLost(this, error)
  }

  #rejectPending(error: Error): void {
    for (const { reject } of [...this.#requests.values(), ...this.#steps.values()]) reject(error)
  }
}

/** The time limit of a step: longer than any prefill chunk takes. */
const STEP_TIMEOUT_MS = 600_000
