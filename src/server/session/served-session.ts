import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import type { EngineSession } from '../../engine/session/engine-session.ts'
import type { ByteBudget } from '../../swarm/byte-budget.ts'
import type { RequestStream, ServedStream } from '../../swarm/frames/frame-stream.ts'
import type { Answer, Request, StepMessage } from '../../swarm/frames/messages.ts'
import type { Activations, WireDType } from '../../tensor/activations.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { allFiniteInPieces } from '../../tensor/finite.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { decodeActivations, encodeFinite } from '../../tensor/travel.ts'
import type { Pace } from '../span/pace.ts'
import type { OutputBudget } from './output-budget.ts'
import { OutputLog } from './output-log.ts'
import { OutputWay } from './output-way.ts'
import { PushSource } from './push-source.ts'

/** The longest queue that is told; more makes no difference to a client. */
const MAX_QUEUE_MS = 3_600_000

/** How long a client has to read why its session ended, and then for its stream to end. */
const ORDERLY_END_MS = 1000

/**
 * How far epochs and numbers of steps may run ahead of what this server has seen. A repair numbers steps that go to
 * other servers; nobody honest comes near this, and a peer that jumps beyond could make all later steps look old.
 */
const MAX_JUMP = 1 << 20

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
  #work: Promise<void> = Promise.resolve()
  #fetching: Promise<void> = Promise.resolve()
  #epoch = 0
  #lastStep = 0
  #received = 0
  readonly #way: OutputWay
  #steppedAt = performance.now()
  #stepsUnderWay = 0
  /** The last step of the session when its client parked it. */
  #parkedAfter: number | undefined
  readonly #idle: NodeJS.Timeout
  #closed = false
  readonly #over = new AbortController()

  /** A session without steps for `idleMs` is closed. */
  constructor(modules: SessionModules, { idleMs }: { readonly idleMs: number }) {
    this.#modules = modules
    this.source = new PushSource(modules.stream.remotePeer)
    this.#outputs = new OutputLog(modules.outputBudget, modules.stream.remotePeer)
    this.#way = new OutputWay({
      reply: (answer) => this.#reply(answer),
      openPush: modules.openPush,
      outputs: this.#outputs,
    })
    this.#idle = setTimeout(
      () => modules.stream.abort(new PetalsError('SESSION_IDLE', 'no step came for this session for too long')),
      idleMs,
    )
  }

  /** When the session was last used, in milliseconds of `performance.now()`: only steps are use. */
  get usedAt(): number {
    return this.#stepsUnderWay > 0 ? performance.now() : this.#steppedAt
  }

  /** Whether the client needs the session only in case its room is not wanted by others. */
  get isParked(): boolean {
    return this.#parkedAfter !== undefined && this.#received <= this.#parkedAfter
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
        return this.#reply({ kind: 'accepted', request: message.request })
      // A push to a frozen server must not delay the change to its replacement, or the repair.
      case 'route':
        this.#way.drop()
        return this.#queue(message)
      case 'resume':
        if (this.#way.pushing > 0) this.#way.drop()
        return this.#queue(message)
      case 'fetch':
        return this.#queueFetch(message)
      default:
        return this.#queue(message)
    }
  }

  /** Takes a message from the server before. Throws `SESSION_REQUEST` if it is no step. */
  handlePushed(message: Request<'push'>): Promise<void> {
    if (message.kind === 'open') throw new PetalsError('SESSION_REQUEST', 'a push stream is opened once')
    return this.#queue(message)
  }

  /** Waiting requests are bounded by their streams, which are read no further until some were dealt with. */
  #queue(message: Queued): Promise<void> {
    if (message.kind !== 'step') this.#parkedAfter = undefined
    if (message.kind === 'step') {
      if (message.epoch > this.#epoch + MAX_JUMP || message.step > this.#received + MAX_JUMP) {
        return this.#replyBroken(message, 'SESSION_STEP', 'is too far ahead of the one before')
      }
      this.#received = Math.max(this.#received, message.step)
    }
    const receivedMs = performance.now()
    this.#work = this.#work
      .then(() => this.#process(message, receivedMs))
      .catch((error: unknown) => this.#replyFailure(message, error))
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

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#over.abort(new PetalsError('SESSION_CLOSED', 'the session is closed'))
    clearTimeout(this.#idle)
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

  /** The client's peer id. */
  get client(): string {
    return this.#modules.stream.remotePeer
  }

  get position(): number {
    return this.#modules.engine.position
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
    const beganMs = performance.now()
    if (epoch < this.#epoch || (epoch === this.#epoch && step <= this.#lastStep)) {
      const held = `step ${this.#lastStep} of epoch ${this.#epoch}`
      return this.#replyBroken(request, 'SESSION_STEP', `is not after the last one, ${held}`)
    }
    if (rows !== undefined && rows > hidden.shape[0]!)
      return this.#replyBroken(request, 'SESSION_STEP', `asks for ${rows} rows of ${hidden.shape[0]}`)
    const { engine, dtype } = this.#modules
    if (!(await allFiniteInPieces(hidden)))
      return this.#replyBroken(request, 'TENSOR_NONFINITE', 'brought NaN or infinite values')
    const input = await decodeActivations(hidden, dtype)
    engine.truncate(Math.min(engine.position, position))
    this.#outputs.truncate(position)
    if (position > engine.position) {
      const held = `the cache holds ${engine.position} tokens`
      return this.#replyBroken(request, 'SESSION_POSITION', `is for position ${position} while ${held}`)
    }
    await this.#modules.admitTokens(hidden.shape[0]!)
    const output = await this.#compute(input)
    this.#epoch = epoch
    this.#lastStep = step
    this.#modules.onStep({ tokens: output.shape[0]!, position, receivedMs, beganMs })
    await this.#way.send({ epoch, step, position, push, hidden: output, rows })
  }

  /**
   * Computes a step on the engine; returns its output in the form in which it travels. Throws `TENSOR_NONFINITE` for an
   * output that nobody should compute with, and `WIRE_DTYPE` for one that is too large for the form.
   */
  async #compute(input: Tensor): Promise<Activations> {
    const { engine, pace, numBlocks, dtype, wireDType = dtype } = this.#modules
    const before = engine.position
    const done = pace.begin(input.shape[0]!, numBlocks)
    this.#stepsUnderWay += 1
    let computed = false
    try {
      const output = await engine.step(input)
      computed = true
      return await encodeFinite(output, wireDType, 'the blocks gave')
    } catch (error) {
      if (computed) engine.truncate(before)
      throw error
    } finally {
      done(computed)
      this.#stepsUnderWay -= 1
      this.#steppedAt = performance.now()
      this.#idle.refresh()
    }
  }

  async #route({ request, peerId, sessionId, wireDType }: RequestOf<'route'>): Promise<void> {
    if (peerId !== undefined && sessionId !== undefined) {
      await this.#way.route(peerId, sessionId, wireDType)
      if (this.#closed) return this.#way.drop()
    } else {
      this.#way.routeToClient()
    }
    return this.#reply({ kind: 'routed', request })
  }

  /**
   * Begins a new epoch, whatever a peer may have pushed. `until` is the number of the step that failed; the client only
   * knows that it was to begin at `position`. If this server has not done that step, whatever it holds from `position`
   * on may be from before the session was cut back, and is discarded.
   */
  #resume({ request, epoch, position, until }: RequestOf<'resume'>): Promise<void> {
    const { engine } = this.#modules
    this.#epoch = epoch
    if (this.#lastStep < until) {
      engine.truncate(Math.min(engine.position, position))
      this.#outputs.truncate(position)
    }
    this.#received = Math.max(this.#received, until)
    return this.#reply({ kind: 'resumed', ...this.progress(request) })
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
    this.#epoch = epoch
    this.#received = Math.max(this.#received, until)
    return this.#reply({ kind: 'forked', ...this.progress(request) })
  }

  /** What the session is doing, in answer to the request of this number. */
  progress(request: number) {
    const { stream, pace } = this.#modules
    return {
      request,
      epoch: this.#epoch,
      position: this.#modules.engine.position,
      received: this.#received,
      completed: this.#lastStep,
      pushing: this.#way.pushing,
      arrived: (stream.bytesRead + this.source.bytesRead) >>> 0,
      queueMs: Math.min(pace.queueMs, MAX_QUEUE_MS),
    }
  }

  /** Outputs are sent beside the work that follows: no step waits until a client has read them. */
  #queueFetch(message: RequestOf<'fetch'>): Promise<void> {
    const before = this.#work
    this.#fetching = this.#fetching
      .then(() => before)
      .then(() => this.#fetch(message))
      .catch((error: unknown) => this.#replyFailure(message, error))
    return this.#fetching
  }

  /** The copy is made once the client's budget has room for it, which it takes until the client has read it. */
  #fetch({ request, position, until }: RequestOf<'fetch'>): Promise<void> {
    const { sent, stream } = this.#modules
    const bytes = Math.min(this.#outputs.bytes, Math.max(0, until - position) * this.#outputs.tokenBytes)
    const send = async (): Promise<void> => {
      if (this.#closed) return
      const hidden = this.#outputs.range(position, until)
      if (hidden === undefined)
        throw new PetalsError('SESSION_OUTPUTS_GONE', `outputs ${position} to ${until} are not held here any more`)
      await this.#reply({ kind: 'fetched', request, position, hidden })
    }
    return sent.during(stream.remotePeer, bytes, send, this.#over.signal)
  }

  /** Tells the client that a step was not computed for a reason that does not speak against this server. */
  #replyBroken({ epoch, step }: StepMessage, code: string, why: string): Promise<void> {
    return this.#reply({ kind: 'broken', epoch, step, code, message: `step ${step} of epoch ${epoch} ${why}` })
  }

  /** Tells the client that a request failed. The session stays open: the client decides what to do. */
  #replyFailure(message: Queued | RequestOf<'fetch'>, error: unknown): Promise<void> {
    if (!this.#closed) this.#modules.onFailure(message.kind, error)
    const code = errorCode(error)
    const reason = code === 'INTERNAL' ? 'internal error' : errorMessage(error).slice(0, 500)
    const fault = { code, message: `${message.kind}: ${reason}` }
    if (message.kind === 'step')
      return this.#reply({ kind: 'failed', epoch: message.epoch, step: message.step, ...fault })
    return this.#reply({ kind: 'refused', request: message.request, ...fault })
  }

  /** Resolves once the client's stream has taken the answer: until then the session's next request waits. */
  async #reply(answer: Answer<'inference'>): Promise<void> {
    if (this.#closed) return
    // A client that is gone is noticed by the stream's end, and one that does not read is cut off by the stream's own
    // limits.
    await this.#modules.stream.send(answer).catch(() => undefined)
  }
}
