import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import type { EngineSession } from '../../engine/session/engine-session.ts'
import type { ByteBudget } from '../../swarm/byte-budget.ts'
import type { RequestStream, ServedStream } from '../../swarm/frames/frame-stream.ts'
import type { Request, StepMessage } from '../../swarm/frames/messages.ts'
import type { WireDType } from '../../tensor/activations.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { allFiniteInPieces } from '../../tensor/finite.ts'
import { decodeActivations } from '../../tensor/travel.ts'
import type { Pace } from '../rates/pace.ts'
import type { OutputBudget } from './output-budget.ts'
import { OutputFetches } from './output-fetches.ts'
import { OutputLog } from './output-log.ts'
import { OutputWay } from './output-way.ts'
import { PushSource } from './push-source.ts'
import { SessionAnswers } from './session-answers.ts'
import { StepEngine } from './step-engine.ts'
import { StepOrder } from './step-order.ts'

/** The longest queue that is told; more makes no difference to a client. */
const MAX_QUEUE_MS = 3_600_000

/** How long a client has to read why its session ended, and then for its stream to end. */
const ORDERLY_END_MS = 1000

/** A step that a session has computed. */
export interface ComputedStep {
  readonly tokens: number
  /** Tokens before it. */
  readonly position: number
  /** When it came, and when its turn in the session did, in milliseconds of `performance.now()`. */
  readonly receivedMs: number
  readonly beganMs: number
}

/** What a session works with. */
export interface SessionModules {
  /** The stream to the client: brings its requests, and takes outputs, copies and errors. */
  readonly stream: ServedStream<'inference'>
  readonly engine: EngineSession
  readonly dtype: FloatDType
  /** The form in which the client wants outputs; undefined: as they are computed. */
  readonly wireDType: WireDType | undefined
  /** Dials the next server and opens a push stream to its session. */
  readonly openPush: (peerId: string, sessionId: string) => Promise<RequestStream<'push'>>
  /** Another session of this server, by its id. */
  readonly findSession: (sessionId: string) => ServedSession | undefined
  /** Shared by all sessions of the server. */
  readonly outputBudget: OutputBudget
  /** Bytes that are on their way to clients. */
  readonly sent: Pick<ByteBudget, 'during'>
  /** Waits until the client may have so many tokens computed. */
  readonly admitTokens: (tokens: number) => Promise<void> | undefined
  /** Called when a step was computed. */
  readonly onStep: (step: ComputedStep) => void
  readonly onParked: () => void
  readonly pace: Pace
  /** Number of blocks that the session uses. */
  readonly numBlocks: number
  /** Called when a request of this kind has failed. */
  readonly onFailure: (kind: string, error: unknown) => void
}

type RequestOf<K extends Request<'inference'>['kind']> = Extract<Request<'inference'>, { kind: K }>

/** Requests that are processed one after another; `accept` and `ack` are done at once, `fetch` beside what follows. */
type Queued = RequestOf<'step' | 'route' | 'resume' | 'fork'>

/**
 * One client's session on this server. Requests are processed one after another, whether they come from the client or
 * are pushed by the server before:
 * - `step` computes
 * - `route` names the next server
 * - `resume` begins a new epoch after a repair
 * - `fetch` asks for outputs that were pushed on
 * - `fork` copies another session of this server
 * - `park` leaves the session's room to whoever needs it, until the next of these
 *
 * A step of an older epoch, or one that was seen before, is not computed; the client is told so.
 */
export class ServedSession {
  readonly #modules: SessionModules
  readonly #outputs: OutputLog
  /** Who may push into this session. */
  readonly source: PushSource
  readonly #answers: SessionAnswers
  readonly #fetches: OutputFetches
  readonly #way: OutputWay
  readonly #steps: StepEngine
  readonly #order = new StepOrder()
  #work: Promise<void> = Promise.resolve()
  /** The last step of the session when its client parked it. */
  #parkedAfter: number | undefined
  #closed = false

  /** A session without steps for `idleMs` is closed. */
  constructor(modules: SessionModules, { idleMs }: { readonly idleMs: number }) {
    this.#modules = modules
    const { stream, engine, pace, numBlocks, dtype, wireDType = dtype, outputBudget, sent, openPush } = modules
    const client = stream.remotePeer
    this.source = new PushSource(client)
    const answers = new SessionAnswers(stream)
    const outputs = new OutputLog(outputBudget, client)
    this.#answers = answers
    this.#outputs = outputs
    this.#fetches = new OutputFetches({ client, outputs, answers, sent })
    this.#way = new OutputWay({ answers, outputs, openPush })
    const onIdle = (): void =>
      stream.abort(new PetalsError('SESSION_IDLE', 'no step came for this session for too long'))
    this.#steps = new StepEngine({ engine, pace, onIdle }, { numBlocks, wireDType, idleMs })
  }

  /** The client's peer id. */
  get client(): string {
    return this.#modules.stream.remotePeer
  }

  /** Tokens in the cache. */
  get position(): number {
    return this.#modules.engine.position
  }

  /** When the session was last used, in milliseconds of `performance.now()`: only steps are use. */
  get usedAt(): number {
    return this.#steps.usedAt
  }

  /** Whether the client needs the session only in case its room is not wanted by others. */
  get isParked(): boolean {
    return this.#parkedAfter !== undefined && this.#order.received <= this.#parkedAfter
  }

  /** Takes a message from the client; the promise settles when it has been dealt with, and never rejects. */
  handle(message: Request<'inference'>): void | Promise<void> {
    switch (message.kind) {
      case 'open':
        return this.#cutOff('a session is opened once')
      case 'ack':
        return this.#outputs.acknowledge(message.until)
      case 'park':
        return this.#park(message.step)
      // Done before the queue: the peer's stream may be waiting, and no step may come from a former one.
      case 'accept':
        this.source.name(message.peerId)
        return this.#answers.send({ kind: 'accepted', request: message.request })
      // A push to a frozen server must not delay the change to its replacement, or the repair.
      case 'route':
        this.#way.drop()
        return this.#queue(message)
      case 'resume':
        if (this.#way.pushing > 0) this.#way.drop()
        return this.#queue(message)
      case 'fetch':
        return this.#fetches.answer(message, this.#work).catch((error: unknown) => this.#failed(message, error))
      default:
        return this.#queue(message)
    }
  }

  /** Takes a message from the server before. Throws `SESSION_REQUEST` if it is no step. */
  handlePushed(message: Request<'push'>): Promise<void> {
    if (message.kind === 'open') throw new PetalsError('SESSION_REQUEST', 'a push stream is opened once')
    return this.#queue(message)
  }

  /** What the session is doing, in answer to the request of this number. */
  progress(request: number) {
    const { stream, pace } = this.#modules
    return {
      request,
      epoch: this.#order.epoch,
      position: this.#modules.engine.position,
      received: this.#order.received,
      completed: this.#order.completed,
      pushing: this.#way.pushing,
      arrived: (stream.bytesRead + this.source.bytesRead) >>> 0,
      queueMs: Math.min(pace.queueMs, MAX_QUEUE_MS),
    }
  }

  /** Gives back what the session holds here; its stream is left to the caller. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#answers.close()
    this.#fetches.close()
    this.#steps.close()
    this.source.close()
    this.#modules.engine.release()
    this.#outputs.clear()
    this.#way.drop()
  }

  /** Ends the session and tells the client why, which has a moment to read it. */
  fail(error: Error): void {
    const { stream } = this.#modules
    const told = Promise.race([stream.fail(error), sleep(ORDERLY_END_MS, undefined, { ref: false })])
    void told.then(() => sleep(ORDERLY_END_MS, undefined, { ref: false })).then(() => stream.abort(error))
    this.close()
  }

  /** Waiting requests are bounded by their streams, which are read no further until some were dealt with. */
  #queue(message: Queued): Promise<void> {
    if (message.kind === 'step') {
      if (this.#order.isTooFarAhead(message))
        return this.#answers.broken(message, 'SESSION_STEP', 'is too far ahead of the one before')
      this.#order.receive(message.step)
    } else {
      this.#parkedAfter = undefined
    }
    const receivedMs = performance.now()
    this.#work = this.#work
      .then(() => this.#process(message, receivedMs))
      .catch((error: unknown) => this.#failed(message, error))
    return this.#work
  }

  /** Steps are pushed as well: those up to `step` may come later, and newer ones may have come already. */
  #park(step: number): void {
    this.#parkedAfter = step
    this.#modules.onParked()
  }

  #cutOff(why: string): void {
    this.#modules.stream.abort(new PetalsError('SESSION_REQUEST', why))
  }

  async #process(message: Queued, receivedMs: number): Promise<void> {
    if (this.#closed) return
    switch (message.kind) {
      case 'step':
        return this.#step(message, receivedMs)
      case 'route':
        return this.#route(message)
      case 'resume':
        return this.#resume(message)
      case 'fork':
        return this.#fork(message)
    }
  }

  async #step(request: StepMessage, receivedMs: number): Promise<void> {
    const { epoch, step, position, push, hidden, rows } = request
    const order = this.#order
    const beganMs = performance.now()
    if (order.isPast(request)) {
      const held = `step ${order.completed} of epoch ${order.epoch}`
      return this.#answers.broken(request, 'SESSION_STEP', `is not after the last one, ${held}`)
    }
    if (rows !== undefined && rows > hidden.shape[0]!)
      return this.#answers.broken(request, 'SESSION_STEP', `asks for ${rows} rows of ${hidden.shape[0]}`)
    const { engine, dtype } = this.#modules
    if (!(await allFiniteInPieces(hidden)))
      return this.#answers.broken(request, 'TENSOR_NONFINITE', 'brought NaN or infinite values')
    const input = await decodeActivations(hidden, dtype)
    engine.truncate(Math.min(engine.position, position))
    this.#outputs.truncate(position)
    if (position > engine.position) {
      const held = `the cache holds ${engine.position} tokens`
      return this.#answers.broken(request, 'SESSION_POSITION', `is for position ${position} while ${held}`)
    }
    await this.#modules.admitTokens(hidden.shape[0]!)
    let output
    try {
      output = await this.#steps.step(input)
    } catch (error) {
      if (errorCode(error) !== 'TENSOR_SHAPE') throw error
      return this.#answers.broken(request, 'TENSOR_SHAPE', `brought what is no input here: ${errorMessage(error)}`)
    }
    order.complete(request)
    this.#modules.onStep({ tokens: output.shape[0]!, position, receivedMs, beganMs })
    await this.#way.send({ epoch, step, position, push, hidden: output, rows })
  }

  async #route({ request, peerId, sessionId, wireDType }: RequestOf<'route'>): Promise<void> {
    if (peerId !== undefined && sessionId !== undefined) {
      await this.#way.route(peerId, sessionId, wireDType)
      if (this.#closed) return this.#way.drop()
    } else {
      this.#way.routeToClient()
    }
    return this.#answers.send({ kind: 'routed', request })
  }

  /**
   * Begins a new epoch, whatever a peer may have pushed. `until` is the number of the step that failed; the client only
   * knows that it was to begin at `position`. If this server has not done that step, whatever it holds from `position`
   * on may be from before the session was cut back, and is discarded.
   */
  #resume({ request, epoch, position, until }: RequestOf<'resume'>): Promise<void> {
    const { engine } = this.#modules
    this.#order.beginEpoch(epoch, until)
    if (this.#order.completed < until) {
      engine.truncate(Math.min(engine.position, position))
      this.#outputs.truncate(position)
    }
    return this.#answers.send({ kind: 'resumed', ...this.progress(request) })
  }

  /**
   * Copies the first `position` tokens of another session. Knowing its id is the right to do so: only its client and
   * the server before know it. Begins a new epoch; the client waits for all servers' answers before it sends the
   * epoch's first step.
   */
  async #fork({ request, epoch, position, sessionId, until }: RequestOf<'fork'>): Promise<void> {
    const source = this.#modules.findSession(sessionId)
    if (source === undefined) throw new PetalsError('SESSION_UNKNOWN', 'this server holds no such session')
    if (source.#modules.wireDType !== this.#modules.wireDType)
      throw new PetalsError('SESSION_FORK', 'the outputs of the other session travel in another form')
    const outputs = new OutputLog()
    outputs.copyFrom(source.#outputs, position)
    this.#outputs.truncate(0)
    await this.#modules.engine.forkFrom(source.#modules.engine, position)
    if (this.#closed) return
    this.#outputs.copyFrom(outputs, position)
    this.#order.beginEpoch(epoch, until)
    return this.#answers.send({ kind: 'forked', ...this.progress(request) })
  }

  #failed(message: Queued | RequestOf<'fetch'>, error: unknown): Promise<void> {
    if (!this.#closed) this.#modules.onFailure(message.kind, error)
    return this.#answers.failed(message, error)
  }
}
