// Room server/: a session on one server, what it is asked, and whether it still lives.

import type { RequestTrace } from '../../../swarm/node/trace.ts'
import { PetalsError } from '../../../base/errors.ts'
import { RemoteError } from '../../../swarm/frames/remote-error.ts'
import type { RequestStream } from '../../../swarm/frames/frame-stream.ts'
import type { Answer, Request, StepMessage } from '../../../swarm/frames/messages.ts'
import type { Activations } from '../../../tensor/activations.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import type { RouteSpan } from '../../remote/routes/route-request.ts'
import type { WireChoice } from '../../remote/routes/wire-dtype.ts'
import { type DueRows, dueRows, wrongCount, wrongPlace } from './answered-rows.ts'
import { HiddenForm } from './hidden-form.ts'
import { PendingAnswers } from './pending-answers.ts'
import { ControlStream, type OpenControl, type Progress } from './control-stream.ts'

/** The time limit of a step: longer than any prefill chunk takes. */
const STEP_TIMEOUT_MS = 600_000

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

/** What a session on a server works with. */
export interface RemoteSessionModules {
  readonly stream: RequestStream<'inference'>
  readonly events: RemoteSessionEvents
  /** Opens the stream on which the server is asked what the session is doing. */
  readonly openControl: OpenControl
}

/** What a session is opened with. */
export interface OpenOptions extends RequestTrace {
  /** The blocks that it uses, and whose they are. */
  readonly span: RouteSpan
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

/**
 * The client's side of a session on one server: sends requests, matches answers to them, and reports what comes
 * unasked.
 */
export class RemoteSession {
  readonly span: RouteSpan
  readonly sessionId: string
  /** How hidden states travel between this client and the server. */
  readonly form: HiddenForm
  readonly #stream: RequestStream<'inference'>
  readonly #events: RemoteSessionEvents
  /** Answers to numbered requests; each is of the kind that was asked for. */
  readonly #requests: PendingAnswers<NumberedAnswer, NumberedAnswer['kind']>
  /** Outputs that come straight back, by the step's number. */
  readonly #steps: PendingAnswers<Activations | undefined, DueRows>
  readonly #control: ControlStream
  #nextRequest = 1
  #lost: Error | undefined

  /** Opens a session on a new stream. Throws `RemoteError` with the server's reason, or what the stream throws. */
  static async open(modules: RemoteSessionModules, options: OpenOptions): Promise<RemoteSession> {
    const { stream } = modules
    const { span, sessionId, modelKey, maxLength, allocTimeoutMs, timeoutMs, adapter, prompts } = options
    const { server, start, end } = span
    const form = new HiddenForm({ server, ...options })
    try {
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
        wireDType: form.agreed,
      })
      const answer = await stream.receive({ timeoutMs: timeoutMs + allocTimeoutMs })
      if (answer?.kind !== 'opened')
        throw new PetalsError('SESSION_REQUEST', `peer ${stream.remotePeer} did not open the session`)
    } catch (error) {
      stream.abort(error as Error)
      throw error
    }
    return new RemoteSession(modules, { span, sessionId, form })
  }

  private constructor(
    { stream, events, openControl }: RemoteSessionModules,
    { span, sessionId, form }: Pick<RemoteSession, 'span' | 'sessionId' | 'form'>,
  ) {
    this.span = span
    this.sessionId = sessionId
    this.form = form
    this.#stream = stream
    this.#events = events
    this.#requests = new PendingAnswers(stream.remotePeer)
    this.#steps = new PendingAnswers(stream.remotePeer)
    this.#control = new ControlStream(sessionId, openControl)
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

  /** Why the server is lost; undefined while it is not. */
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
    const { answer, reject } = this.#requests.wait(number, answerKind, { what: request.kind, timeoutMs })
    this.send({ ...request, request: number } as NumberedRequest).catch(reject)
    return (await answer) as AnswerOf<K>
  }

  /**
   * Sends a step whose output comes straight back: the wanted rows, undefined where none are. There is no time limit
   * worth mentioning: the caller watches whether the server is alive.
   */
  step(step: Omit<StepMessage, 'kind' | 'push'>): { sent: Promise<void>; output: Promise<Activations | undefined> } {
    const limit = { what: 'step', timeoutMs: STEP_TIMEOUT_MS }
    const { answer: output, reject } = this.#steps.wait(step.step, dueRows(step), limit)
    output.catch(() => undefined)
    const sent = this.send({ kind: 'step', ...step, push: false })
    sent.catch(reject)
    return { sent, output }
  }

  /** Ends the session on the server, which frees its cache. */
  async close(): Promise<void> {
    this.#lost ??= new PetalsError('SESSION_CLOSED', 'the session was closed')
    this.#endPending(this.#lost)
    this.#control.close(this.#lost)
    await this.#stream.end()
  }

  /** Treats the server as lost. */
  giveUp(error: Error): void {
    this.#onLost(error)
  }

  #onMessage(message: Answer<'inference'>): void {
    try {
      if ('hidden' in message) this.form.check(message.hidden)
    } catch (error) {
      return this.giveUp(error as Error)
    }
    if ('request' in message) return this.#onAnswer(message)
    switch (message.kind) {
      case 'output':
      case 'computed': {
        const pending = this.#steps.get(message.step)
        if (pending === undefined) return this.#events.onOutput(this, message)
        const { about: due } = pending
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
    else if (answer.kind === pending?.about) pending.resolve(answer)
  }

  #onLost(error: Error): void {
    if (this.#lost !== undefined) return
    this.#lost = error
    this.#endPending(error)
    this.#stream.abort(error)
    this.#control.close(error)
    this.#events.onLost(this, error)
  }

  #endPending(error: Error): void {
    this.#requests.end(error)
    this.#steps.end(error)
  }
}
