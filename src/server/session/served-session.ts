import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import type { EngineSession } from '../../engine/session/engine-session.ts'
import type { RequestStream, ServedStream } from '../../swarm/frames/frame-stream.ts'
import type { Answer, Request, StepMessage } from '../../swarm/frames/messages.ts'
import { convertInPieces } from '../../tensor/convert.ts'
import type { DType } from '../../tensor/dtype.ts'
import { allFinite } from '../../tensor/finite.ts'
import { type Tensor, sliceRows } from '../../tensor/tensor.ts'
import type { Pace } from '../span/pace.ts'
import type { OutputBudget } from './output-budget.ts'
import { OutputLog } from './output-log.ts'
import { PushSource } from './push-source.ts'

/**
 * Copies of pushed outputs are sent to the client in one message per this many tokens, or after `COPY_DELAY_MS`, so
 * that they do not slow down the steps.
 */
const COPY_TOKENS = 64
const COPY_DELAY_MS = 250

/** The most bytes of a session's waiting requests. Its client sends one step, or one piece of a replay, at a time. */
const MAX_QUEUED_BYTES = 128 << 20
const REQUEST_OVERHEAD_BYTES = 1024

/** The longest queue that is told; more makes no difference to a client. */
const MAX_QUEUE_MS = 3_600_000

/** How long a former next server may take to end its push stream in order; then the stream is aborted. */
const ORDERLY_END_MS = 1000

/** The most bytes of one message of copies. Outputs wait behind no more than one on a slow link. */
const MAX_COPY_BYTES = 1 << 20

/**
 * How far epochs and numbers of steps may run ahead of what this server has seen. A repair numbers steps that go to
 * other servers; nobody honest comes near this, and a peer that jumps beyond could make all later steps look old.
 */
const MAX_JUMP = 1 << 20

/** What a session works with. */
export interface SessionModules {
  /** The stream to the client: brings its requests, and takes outputs, copies and errors. */
  readonly stream: ServedStream<'inference'>
  readonly engine: EngineSession
  readonly dtype: DType
  /** Dials the next server and opens a push stream to its session. */
  readonly openPush: (peerId: string, sessionId: string) => Promise<RequestStream<'push'>>
  /** Another session of this server, by its id. */
  readonly findSession: (sessionId: string) => ServedSession | undefined
  /** Shared by all sessions of the server. */
  readonly outputBudget: OutputBudget
  readonly onStep: (tokens: number) => void
  readonly pace: Pace
  /** Number of blocks that the session uses. */
  readonly numBlocks: number
  /** Called when a request of this kind has failed. */
  readonly onFailure: (kind: string, error: unknown) => void
}

type RequestOf<K extends Request<'inference'>['kind']> = Extract<Request<'inference'>, { kind: K }>

/** Requests that are processed one after another; `accept` and `ack` are done at once. */
type Queued = RequestOf<'step' | 'route' | 'resume' | 'fork' | 'fetch'>

/**
 * One client's session on this server. Requests are processed one after another, whether they come from the client or
 * are pushed by the server before:
 * - `step` computes
 * - `route` names the next server
 * - `resume` begins a new epoch after a repair
 * - `fetch` asks for outputs that were pushed on
 * - `fork` copies another session of this server
 *
 * A step of an older epoch, or one that was seen before, is not computed; the client is told so.
 */
export class ServedSession {
  readonly #modules: SessionModules
  readonly #outputs: OutputLog
  /** Who may push into this session. */
  readonly source = new PushSource()
  #work: Promise<void> = Promise.resolve()
  #epoch = 0
  #lastStep = 0
  #received = 0
  #queuedBytes = 0
  #pushing = 0
  #next: RequestStream<'push'> | undefined
  #copyTimer: NodeJS.Timeout | undefined
  #copying: Promise<void> = Promise.resolve()
  readonly #idle: NodeJS.Timeout
  #closed = false

  /** A session without messages for `idleMs` is closed. */
  constructor(modules: SessionModules, { idleMs }: { readonly idleMs: number }) {
    this.#modules = modules
    this.#outputs = new OutputLog(modules.outputBudget)
    this.#idle = setTimeout(
      () => modules.stream.abort(new PetalsError('SESSION_IDLE', 'nothing came for this session for too long')),
      idleMs,
    )
  }

  /** Takes a message from the client. */
  handle(message: Request<'inference'>): void {
    this.#idle.refresh()
    switch (message.kind) {
      case 'open':
        return this.#cutOff('a session is opened once')
      case 'ack':
        return this.#outputs.acknowledge(message.until)
      // Done before the queue: the peer's stream may be waiting, and no step may come from a former one.
      case 'accept':
        this.source.name(message.peerId)
        return this.#reply({ kind: 'accepted', request: message.request })
      // A push to a frozen server must not delay the change to its replacement, or the repair.
      case 'route':
        this.#dropNext()
        return this.#queue(message)
      case 'resume':
        if (this.#pushing > 0) this.#dropNext()
        return this.#queue(message)
      default:
        return this.#queue(message)
    }
  }

  /** Takes a message from the server before. Throws `SESSION_REQUEST` if it is no step. */
  handlePushed(message: Request<'push'>): void {
    if (message.kind === 'open') throw new PetalsError('SESSION_REQUEST', 'a push stream is opened once')
    this.#idle.refresh()
    this.#queue(message)
  }

  #queue(message: Queued): void {
    let bytes = REQUEST_OVERHEAD_BYTES
    if (message.kind === 'step') {
      if (message.epoch > this.#epoch + MAX_JUMP || message.step > this.#received + MAX_JUMP) {
        return this.#replyBroken(message, 'SESSION_STEP', 'is too far ahead of the one before')
      }
      this.#received = Math.max(this.#received, message.step)
      bytes += message.hidden.data.byteLength
    }
    this.#queuedBytes += bytes
    if (this.#queuedBytes > MAX_QUEUED_BYTES) return this.#cutOff('more requests than a session may have waiting')
    this.#work = this.#work
      .then(() => this.#process(message))
      .catch((error: unknown) => this.#replyFailure(message, error))
      .finally(() => {
        this.#queuedBytes -= bytes
      })
  }

  #cutOff(why: string): void {
    this.#modules.stream.abort(new PetalsError('SESSION_REQUEST', why))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#copyTimer)
    clearTimeout(this.#idle)
    this.source.close()
    this.#modules.engine.release()
    this.#outputs.clear()
    this.#dropNext()
  }

  /** Ends the session and tells the client why. */
  fail(error: Error): void {
    void this.#modules.stream.fail(error)
    this.close()
  }

  /** The client's peer id. */
  get client(): string {
    return this.#modules.stream.remotePeer
  }

  get position(): number {
    return this.#modules.engine.position
  }

  async #process(message: Queued): Promise<void> {
    if (this.#closed) return
    switch (message.kind) {
      case 'step':
        return this.#step(message)
      case 'route':
        return this.#route(message)
      case 'resume':
        return this.#resume(message)
      case 'fetch':
        return this.#fetch(message)
      case 'fork':
        return this.#fork(message)
    }
  }

  async #step(request: StepMessage): Promise<void> {
    const { epoch, step, position, push, hidden } = request
    if (epoch < this.#epoch || (epoch === this.#epoch && step <= this.#lastStep)) {
      const held = `step ${this.#lastStep} of epoch ${this.#epoch}`
      return this.#replyBroken(request, 'SESSION_STEP', `is not after the last one, ${held}`)
    }
    const { engine, dtype } = this.#modules
    if (!allFinite(hidden)) return this.#replyBroken(request, 'TENSOR_NONFINITE', 'brought NaN or infinite values')
    const input = await convertInPieces(hidden, dtype)
    engine.truncate(Math.min(engine.position, position))
    this.#outputs.truncate(position)
    if (position > engine.position) {
      const held = `the cache holds ${engine.position} tokens`
      return this.#replyBroken(request, 'SESSION_POSITION', `is for position ${position} while ${held}`)
    }
    const output = await this.#compute(input)
    this.#epoch = epoch
    this.#lastStep = step
    this.#modules.onStep(output.shape[0]!)
    const made = { epoch, step, position, hidden: output }
    if (push) return this.#pass(made)
    await this.#output(made)
  }

  /** Computes a step on the engine. Throws `TENSOR_NONFINITE` for an output that nobody should compute with. */
  async #compute(input: Tensor): Promise<Tensor> {
    const { engine, pace, numBlocks } = this.#modules
    const before = engine.position
    const done = pace.begin(input.shape[0]!, numBlocks)
    let computed = false
    try {
      const output = await engine.step(input)
      computed = true
      if (allFinite(output)) return output
      engine.truncate(before)
      throw new PetalsError('TENSOR_NONFINITE', 'the blocks gave NaN or infinite values')
    } finally {
      done(computed)
    }
  }

  /** Sends an output to the client. The session counts as sending until the stream has taken it. */
  async #output(made: Omit<StepMessage, 'kind' | 'push'>): Promise<void> {
    this.#pushing = made.step
    if (!this.#closed) await this.#modules.stream.send({ kind: 'output', ...made }).catch(() => undefined)
    this.#pushing = 0
  }

  /** Pushes an output to the next server; without one, sends it to the client. */
  async #pass(made: Omit<StepMessage, 'kind' | 'push'>): Promise<void> {
    const { epoch, step, position, hidden } = made
    const next = this.#next
    this.#outputs.append(position, hidden)
    if (next === undefined) {
      // The client would not have sent this step without holding everything before it. The step's own output stays,
      // since it may get lost on its way.
      this.#outputs.acknowledge(position)
      return this.#output(made)
    }
    this.#pushing = step
    try {
      await next.send({ kind: 'step', ...made, push: true })
      this.#scheduleCopies()
    } catch (error) {
      if (this.#next === next) this.#next = undefined
      this.#reply({ kind: 'broken', epoch, step, code: errorCode(error), message: errorMessage(error) })
    } finally {
      this.#pushing = 0
    }
  }

  async #route({ request, peerId, sessionId }: RequestOf<'route'>): Promise<void> {
    if (peerId !== undefined && sessionId !== undefined) {
      const next = await this.#modules.openPush(peerId, sessionId)
      this.#dropNext()
      this.#next = next
      if (this.#closed) return this.#dropNext()
    } else {
      // Outputs come back to the client from now on, which then holds all before them.
      this.#sendCopies()
    }
    this.#reply({ kind: 'routed', request })
  }

  #dropNext(): void {
    const next = this.#next
    this.#next = undefined
    if (next === undefined) return
    void Promise.race([next.end(), sleep(ORDERLY_END_MS, undefined, { ref: false })]).then(() =>
      next.abort(new PetalsError('SESSION_CLOSED', 'the push stream is no longer needed')),
    )
  }

  /**
   * Begins a new epoch, whatever a peer may have pushed. `until` is the number of the step that failed; the client only
   * knows that it was to begin at `position`. If this server has not done that step, whatever it holds from `position`
   * on may be from before the session was cut back, and is discarded.
   */
  #resume({ request, epoch, position, until }: RequestOf<'resume'>): void {
    const { engine } = this.#modules
    this.#epoch = epoch
    if (this.#lastStep < until) {
      engine.truncate(Math.min(engine.position, position))
      this.#outputs.truncate(position)
    }
    this.#received = Math.max(this.#received, until)
    this.#reply({ kind: 'resumed', ...this.progress(request) })
  }

  /**
   * Copies the first `position` tokens of another session. Knowing its id is the right to do so: only its client and
   * the server before know it. Begins a new epoch; the client waits for all servers' answers before it sends the
   * epoch's first step.
   */
  async #fork({ request, epoch, position, sessionId, until }: RequestOf<'fork'>): Promise<void> {
    const source = this.#modules.findSession(sessionId)
    if (source === undefined) throw new PetalsError('SESSION_UNKNOWN', 'this server holds no such session')
    const outputs = new OutputLog()
    outputs.copyFrom(source.#outputs, position)
    this.#outputs.truncate(0)
    await this.#modules.engine.forkFrom(source.#modules.engine, position)
    if (this.#closed) return
    this.#outputs.copyFrom(outputs, position)
    this.#epoch = epoch
    this.#received = Math.max(this.#received, until)
    // Copies are sent after the next step: by then the client has taken over what it holds of the other session.
    clearTimeout(this.#copyTimer)
    this.#copyTimer = undefined
    this.#reply({ kind: 'forked', ...this.progress(request) })
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
      pushing: this.#pushing,
      arrived: (stream.bytesRead + this.source.bytesRead) >>> 0,
      queueMs: Math.min(pace.queueMs, MAX_QUEUE_MS),
    }
  }

  #fetch({ request, position, until }: RequestOf<'fetch'>): void {
    const hidden = this.#outputs.range(position, until)
    if (hidden === undefined)
      throw new PetalsError('SESSION_OUTPUTS_GONE', `outputs ${position} to ${until} are not held here any more`)
    this.#reply({ kind: 'fetched', request, position, hidden })
  }

  #scheduleCopies(): void {
    if (this.#outputs.unsentTokens >= COPY_TOKENS) return this.#sendCopies()
    this.#copyTimer ??= setTimeout(() => this.#sendCopies(), COPY_DELAY_MS)
  }

  #sendCopies(): void {
    clearTimeout(this.#copyTimer)
    this.#copyTimer = undefined
    const unsent = this.#outputs.takeUnsent()
    if (unsent === undefined || this.#closed) return
    const epoch = this.#epoch
    this.#copying = this.#copying.then(() => this.#sendInPieces(epoch, unsent.position, unsent.output))
  }

  /** One piece at a time, so that outputs get in between. */
  async #sendInPieces(epoch: number, position: number, output: Tensor): Promise<void> {
    const [tokens = 0] = output.shape
    const rowsPerMessage = Math.max(1, Math.floor((MAX_COPY_BYTES * tokens) / output.data.byteLength))
    for (let row = 0; row < tokens && !this.#closed; row += rowsPerMessage) {
      const hidden = sliceRows(output, row, Math.min(tokens, row + rowsPerMessage))
      const copies = { kind: 'copies', epoch, position: position + row, hidden } as const
      await this.#modules.stream.send(copies).catch(() => undefined)
    }
  }

  /** Tells the client that a step was not computed for a reason that does not speak against this server. */
  #replyBroken({ epoch, step }: StepMessage, code: string, why: string): void {
    this.#reply({ kind: 'broken', epoch, step, code, message: `step ${step} of epoch ${epoch} ${why}` })
  }

  /** Tells the client that a request failed. The session stays open: the client decides what to do. */
  #replyFailure(message: Queued, error: unknown): void {
    if (!this.#closed) this.#modules.onFailure(message.kind, error)
    const code = errorCode(error)
    const reason = code === 'INTERNAL' ? 'internal error' : errorMessage(error).slice(0, 500)
    const fault = { code, message: `${message.kind}: ${reason}` }
    if (message.kind === 'step') this.#reply({ kind: 'failed', epoch: message.epoch, step: message.step, ...fault })
    else this.#reply({ kind: 'refused', request: message.request, ...fault })
  }

  #reply(answer: Answer<'inference'>): void {
    if (this.#closed) return
    // A client that is gone is noticed by the stream's end, and one that does not read is cut off by the stream's own
    // limits.
    this.#modules.stream.send(answer).catch(() => undefined)
  }
}
