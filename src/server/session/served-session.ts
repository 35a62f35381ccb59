import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import type { EngineSession } from '../../engine/session/engine-session.ts'
import type { ByteBudget } from '../../swarm/byte-budget.ts'
import type { RequestStream, ServedStream } from '../../swarm/frames/frame-stream.ts'
import type { Answer, Request, StepMessage } from '../../swarm/frames/messages.ts'
import { convertInPieces } from '../../tensor/convert.ts'
import type { DType } from '../../tensor/dtype.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import type { OutputBudget } from './output-budget.ts'
import { OutputLog } from './output-log.ts'

/**
 * Copies of pushed outputs are sent to the client in one message per this many tokens, or after `COPY_DELAY_MS`, so
 * that they do not slow down the steps.
 */
const COPY_TOKENS = 64
const COPY_DELAY_MS = 250

/** How long a former next server may take to end its push stream in order; then the stream is aborted. */
const ORDERLY_END_MS = 1000

/** The most bytes of one message of copies; well below the protocol's limit. */
const MAX_COPY_BYTES = 16 << 20

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
  /** Bytes that are on their way to clients. */
  readonly sent: Pick<ByteBudget, 'during'>
  /** Waits until the client may have so many tokens computed. */
  readonly admitTokens: (tokens: number) => Promise<void> | undefined
  readonly onStep: (tokens: number) => void
  /** Called when a request of this kind has failed. */
  readonly onFailure: (kind: string, error: unknown) => void
}

type RequestOf<K extends Request<'inference'>['kind']> = Extract<Request<'inference'>, { kind: K }>

/** Requests that are processed one after another; `status` and `ack` are answered at once. */
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
 * A step of an older epoch, or one that was seen before, is dropped.
 */
export class ServedSession {
  readonly #modules: SessionModules
  readonly #outputs: OutputLog
  #work: Promise<void> = Promise.resolve()
  #epoch = 0
  #lastStep = 0
  #received = 0
  #pushing = 0
  #next: RequestStream<'push'> | undefined
  #pusher: Pick<ServedStream<'push'>, 'abort'> | undefined
  #copyTimer: NodeJS.Timeout | undefined
  #isCopying = false
  #steppedAt = performance.now()
  #stepsUnderWay = 0
  readonly #idle: NodeJS.Timeout
  #closed = false

  /** A session without steps for `idleMs` is closed. */
  constructor(modules: SessionModules, { idleMs }: { readonly idleMs: number }) {
    this.#modules = modules
    this.#outputs = new OutputLog(modules.outputBudget, modules.stream.remotePeer)
    this.#idle = setTimeout(
      () => modules.stream.abort(new PetalsError('SESSION_IDLE', 'no step came for this session for too long')),
      idleMs,
    )
  }

  /** When the session was last used, in milliseconds of `performance.now()`: only steps are use. */
  get usedAt(): number {
    return this.#stepsUnderWay > 0 ? performance.now() : this.#steppedAt
  }

  /** Takes a message from the client; the promise settles when it has been dealt with, and never rejects. */
  handle(message: Request<'inference'>): void | Promise<void> {
    switch (message.kind) {
      case 'open':
        return this.#cutOff('a session is opened once')
      // Answered at once: the client asks when something is late, and must not wait behind the step that is being
      // computed.
      case 'status':
        void this.#reply({ kind: 'status', ...this.#progress(message.request) })
        return
      case 'ack':
        return this.#outputs.acknowledge(message.until)
      case 'route':
        // Done before the queue: a push to a frozen server must not delay the change to its replacement.
        this.#dropNext()
        return this.#queue(message)
      default:
        return this.#queue(message)
    }
  }

  /** Takes a message from the server before. Throws `SESSION_REQUEST` if it is no step. */
  handlePushed(message: Request<'push'>): Promise<void> {
    if (message.kind === 'open') throw new PetalsError('SESSION_REQUEST', 'a push stream is opened once')
    return this.#queue(message)
  }

  /** The stream of the server before: one at a time, and no longer than the session. */
  acceptPushes(stream: Pick<ServedStream<'push'>, 'abort' | 'countFor'>): void {
    stream.countFor(this.#modules.stream.remotePeer)
    this.#pusher?.abort(new PetalsError('SESSION_CLOSED', 'another server pushes into this session now'))
    this.#pusher = stream
  }

  /** Waiting requests are bounded by their streams, which are read no further until some were dealt with. */
  #queue(message: Queued): Promise<void> {
    if (message.kind === 'step') this.#received = Math.max(this.#received, message.step)
    this.#work = this.#work
      .then(() => this.#process(message))
      .catch((error: unknown) => this.#replyFailure(message, error))
    return this.#work
  }

  #cutOff(why: string): void {
    this.#modules.stream.abort(new PetalsError('SESSION_REQUEST', why))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#copyTimer)
    clearTimeout(this.#idle)
    this.#modules.engine.release()
    this.#outputs.clear()
    this.#dropNext()
    this.#pusher?.abort(new PetalsError('SESSION_CLOSED', 'the session that was pushed into is over'))
  }

  /** Ends the session and tells the client why, which has a moment to read it. */
  fail(error: Error): void {
    const { stream } = this.#modules
    const told = Promise.race([stream.fail(error), sleep(ORDERLY_END_MS, undefined, { ref: false })])
    void told.then(() => sleep(ORDERLY_END_MS, undefined, { ref: false })).then(() => stream.abort(error))
    this.close()
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
    if (epoch < this.#epoch || (epoch === this.#epoch && step <= this.#lastStep)) return
    const { engine, dtype } = this.#modules
    const input = await convertInPieces(hidden, dtype)
    engine.truncate(Math.min(engine.position, position))
    this.#outputs.truncate(position)
    if (position > engine.position) return this.#replyGap(request)
    await this.#modules.admitTokens(hidden.shape[0]!)
    const output = await this.#compute(input)
    this.#epoch = epoch
    this.#lastStep = step
    this.#modules.onStep(output.shape[0]!)
    const made = { epoch, step, position, hidden: output }
    if (push) return this.#pass(made)
    return this.#reply({ kind: 'output', ...made })
  }

  async #compute(input: Tensor): Promise<Tensor> {
    this.#stepsUnderWay += 1
    try {
      return await this.#modules.engine.step(input)
    } finally {
      this.#stepsUnderWay -= 1
      this.#steppedAt = performance.now()
      this.#idle.refresh()
    }
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
      return this.#reply({ kind: 'output', ...made })
    }
    this.#pushing = step
    try {
      await next.send({ kind: 'step', ...made, push: true })
      this.#scheduleCopies()
    } catch (error) {
      this.#next = undefined
      await this.#reply({ kind: 'broken', epoch, step, code: errorCode(error), message: errorMessage(error) })
    } finally {
      this.#pushing = 0
    }
  }

  async #route({ request, peerId, sessionId }: RequestOf<'route'>): Promise<void> {
    const next = await this.#modules.openPush(peerId, sessionId)
    this.#dropNext()
    this.#next = next
    if (this.#closed) return this.#dropNext()
    return this.#reply({ kind: 'routed', request })
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
   * Begins a new epoch. `until` is the number of the step that failed; the client only knows that it was to begin at
   * `position`. If this server has not done that step, whatever it holds from `position` on may be from before the
   * session was cut back, and is discarded.
   */
  #resume({ request, epoch, position, until }: RequestOf<'resume'>): Promise<void> {
    const { engine } = this.#modules
    this.#epoch = Math.max(this.#epoch, epoch)
    if (this.#lastStep < until) {
      engine.truncate(Math.min(engine.position, position))
      this.#outputs.truncate(position)
    }
    return this.#reply({ kind: 'resumed', ...this.#progress(request) })
  }

  /**
   * Copies the first `position` tokens of another session. Knowing its id is the right to do so: only its client and
   * the server before know it. Begins a new epoch; the client waits for all servers' answers before it sends the
   * epoch's first step.
   */
  async #fork({ request, epoch, position, sessionId }: RequestOf<'fork'>): Promise<void> {
    const source = this.#modules.findSession(sessionId)
    if (source === undefined) throw new PetalsError('SESSION_UNKNOWN', 'this server holds no such session')
    const outputs = new OutputLog()
    outputs.copyFrom(source.#outputs, position)
    this.#outputs.truncate(0)
    await this.#modules.engine.forkFrom(source.#modules.engine, position)
    if (this.#closed) return
    this.#outputs.copyFrom(outputs, position)
    this.#epoch = Math.max(this.#epoch, epoch)
    // Copies are sent after the next step: by then the client has taken over what it holds of the other session.
    clearTimeout(this.#copyTimer)
    this.#copyTimer = undefined
    return this.#reply({ kind: 'forked', ...this.#progress(request) })
  }

  #progress(request: number) {
    return {
      request,
      epoch: this.#epoch,
      position: this.#modules.engine.position,
      received: this.#received,
      completed: this.#lastStep,
      pushing: this.#pushing,
    }
  }

  #fetch({ request, position, until }: RequestOf<'fetch'>): Promise<void> {
    const bytes = Math.min(this.#outputs.bytes, Math.max(0, until - position) * this.#outputs.tokenBytes)
    return this.#sending(bytes, () => {
      const hidden = this.#outputs.range(position, until)
      if (hidden === undefined)
        throw new PetalsError('SESSION_OUTPUTS_GONE', `outputs ${position} to ${until} are not held here any more`)
      return this.#reply({ kind: 'fetched', request, position, hidden })
    })
  }

  /** Copies of outputs are made once the client's budget has room for them, which they take until it has read them. */
  #sending(bytes: number, work: () => Promise<void>): Promise<void> {
    const { sent, stream } = this.#modules
    return sent.during(stream.remotePeer, bytes, async () => (this.#closed ? undefined : await work()))
  }

  #scheduleCopies(): void {
    if (this.#outputs.unsentTokens >= COPY_TOKENS) return this.#sendCopies()
    this.#copyTimer ??= setTimeout(() => this.#sendCopies(), COPY_DELAY_MS)
  }

  /** Sends what is unsent, unless some is on its way: then the rest goes once that was read. */
  #sendCopies(): void {
    clearTimeout(this.#copyTimer)
    this.#copyTimer = undefined
    if (this.#isCopying) return
    this.#isCopying = true
    const { unsentTokens, tokenBytes } = this.#outputs
    void this.#sending(unsentTokens * tokenBytes, () => this.#copyUnsent())
      .catch((error: unknown) => this.#modules.onFailure('copies', error))
      .finally(() => {
        this.#isCopying = false
        if (!this.#closed && this.#outputs.unsentTokens > 0) this.#scheduleCopies()
      })
  }

  async #copyUnsent(): Promise<void> {
    const unsent = this.#outputs.takeUnsent()
    if (unsent === undefined) return
    const { position, output } = unsent
    const [tokens = 0, width = 0] = output.shape
    const rowBytes = output.data.byteLength / tokens
    const rowsPerMessage = Math.max(1, Math.floor(MAX_COPY_BYTES / rowBytes))
    for (let row = 0; row < tokens; row += rowsPerMessage) {
      const end = Math.min(tokens, row + rowsPerMessage)
      const hidden = tensor(output.dtype, [end - row, width], output.data.subarray(row * rowBytes, end * rowBytes))
      await this.#reply({ kind: 'copies', epoch: this.#epoch, position: position + row, hidden })
    }
  }

  /**
   * Tells the client that positions before the step are not in the cache, and how many are; the client replays the
   * missing ones.
   */
  #replyGap({ epoch, step, position }: StepMessage): Promise<void> {
    const message = `a step at position ${position} came while the cache holds ${this.#modules.engine.position} tokens`
    return this.#reply({ kind: 'broken', epoch, step, code: 'SESSION_POSITION', message })
  }

  /** Tells the client that a request failed. The session stays open: the client decides what to do. */
  #replyFailure(message: Queued, error: unknown): Promise<void> {
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
