import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorCode, errorMessage } from '../base/errors.ts'
import type { EngineSession } from '../engine/session/engine-session.ts'
import type { Frame } from '../swarm/frames/frame.ts'
import type { FrameStream } from '../swarm/frames/frame-stream.ts'
import type { FrameHeader, Hop } from '../swarm/frames/wire.ts'
import { convertInPieces } from '../tensor/convert.ts'
import type { DType } from '../tensor/dtype.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import type { OutputBudget } from './output-budget.ts'
import { OutputLog } from './output-log.ts'

/**
 * Copies of what was sent on go to the client in one frame per this many tokens or this long, off the path of the
 * steps.
 */
const COPY_TOKENS = 64
const COPY_DELAY_MS = 250

/** Requests of one session that wait: its client sends one step at a time, a replay's pieces included. */
const MAX_QUEUED_BYTES = 128 << 20
const FRAME_OVERHEAD_BYTES = 1024

/** A next server that does not take an orderly end within this time is cut off. */
const ORDERLY_END_MS = 1000

/** A frame of copies; well under the protocol's limit. */
const MAX_COPY_BYTES = 16 << 20

export interface SessionModules {
  /** To the client: its requests come in here, outputs, copies and faults go out. */
  readonly stream: FrameStream
  readonly engine: EngineSession
  readonly dtype: DType
  /** Dials the next server and opens a push stream to its session there. */
  readonly openPush: (hop: Hop) => Promise<FrameStream>
  /** Another session of this server, by its name. */
  readonly findSession: (sessionId: string) => ServedSession | undefined
  /** Shared by all sessions of the server. */
  readonly outputBudget: OutputBudget
  readonly onStep: (tokens: number) => void
  /** A request of this kind failed. */
  readonly onFailure: (kind: string, error: unknown) => void
}

/**
 * One client's session on this server. Requests are worked off one after another, whether they come from the client or
 * are pushed by the server before: `step` computes, `route` names the next server, `resume` begins a new epoch after a
 * repair, `fetch` asks for what was sent on, `fork` makes it hold what another session of this server holds. A step of
 * an older epoch, or one that was seen before, is dropped.
 */
export class ServedSession {
  readonly #modules: SessionModules
  readonly #outputs: OutputLog
  #work: Promise<void> = Promise.resolve()
  #epoch = 0
  #lastStep = 0
  #received = 0
  #queuedBytes = 0
  #pushing = 0
  #next: { stream: FrameStream; sessionId: string } | undefined
  #copyTimer: NodeJS.Timeout | undefined
  readonly #idle: NodeJS.Timeout
  #closed = false

  /** `idleMs`: a session for which nothing comes for so long is cut off. */
  constructor(modules: SessionModules, { idleMs }: { readonly idleMs: number }) {
    this.#modules = modules
    this.#outputs = new OutputLog(modules.outputBudget)
    this.#idle = setTimeout(
      () => modules.stream.abort(new PetalsError('SESSION_IDLE', 'nothing came for this session for too long')),
      idleMs,
    )
  }

  /** Takes a frame from the client or, `pushed`, from the server before. */
  handle(frame: Frame, pushed: boolean): void {
    const { header } = frame
    this.#idle.refresh()
    if (header.kind === 'step') this.#received = Math.max(this.#received, header.step ?? 0)
    // Asked when something is late: the answer must not wait behind the step that is being computed.
    if (header.kind === 'status' && !pushed) return this.#reply(this.#status(header))
    if (header.kind === 'ack' && !pushed) return this.#outputs.acknowledge(header.until ?? 0)
    // A hand-over to a frozen server must not hold up its replacement.
    if (header.kind === 'route' && !pushed) this.#dropNext()
    const bytes = FRAME_OVERHEAD_BYTES + frame.tensors.reduce((sum, { data }) => sum + data.byteLength, 0)
    this.#queuedBytes += bytes
    if (this.#queuedBytes > MAX_QUEUED_BYTES) {
      this.#modules.stream.abort(new PetalsError('SESSION_REQUEST', 'more requests than a session may have waiting'))
      return
    }
    this.#work = this.#work
      .then(() => this.#process(frame, pushed))
      .catch((error: unknown) => this.#reportFailure(header, error))
      .finally(() => {
        this.#queuedBytes -= bytes
      })
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#copyTimer)
    clearTimeout(this.#idle)
    this.#modules.engine.release()
    this.#outputs.clear()
    this.#dropNext()
  }

  /** Ends the session and tells the client why. */
  fail(error: Error): void {
    void this.#modules.stream.fail(error)
    this.close()
  }

  get position(): number {
    return this.#modules.engine.position
  }

  async #process(frame: Frame, pushed: boolean): Promise<void> {
    if (this.#closed) return
    const { header } = frame
    if (header.kind === 'step') return this.#step(frame)
    if (pushed) throw new PetalsError('SESSION_REQUEST', `a pushed "${header.kind}" is not allowed`)
    if (header.kind === 'route') return this.#route(header)
    if (header.kind === 'resume') return this.#resume(header)
    if (header.kind === 'fetch') return this.#fetch(header)
    if (header.kind === 'fork') return this.#fork(header)
    throw new PetalsError('SESSION_REQUEST', `unknown request "${header.kind}"`)
  }

  async #step({ header, tensors }: Frame): Promise<void> {
    const { epoch = 0, step = 0, position = 0, push = false } = header
    if (epoch < this.#epoch || (epoch === this.#epoch && step <= this.#lastStep)) return
    const { engine, dtype } = this.#modules
    const hidden = tensors[0]
    if (hidden?.shape.length !== 2)
      throw new PetalsError('SESSION_REQUEST', 'a step needs hidden states [tokens, hidden]')
    const input = await convertInPieces(hidden, dtype)
    engine.truncate(Math.min(engine.position, position))
    this.#outputs.truncate(position)
    if (position > engine.position) return this.#reportGap(header)
    const output = await engine.step(input)
    this.#epoch = epoch
    this.#lastStep = step
    this.#modules.onStep(output.shape[0]!)
    if (!push) return this.#reply({ kind: 'output', epoch, step, position }, [output])
    await this.#pass({ kind: 'step', epoch, step, position, push }, output)
  }

  /** Sends an output along the chain; without a next server the client carries it on. */
  async #pass(header: FrameHeader, output: Tensor): Promise<void> {
    const next = this.#next
    this.#outputs.append(header.position!, output)
    if (next === undefined) {
      // The client has everything before this step, or it would not have sent it; the last output may get lost on its
      // way.
      this.#outputs.acknowledge(header.position!)
      return this.#reply({ ...header, kind: 'output' }, [output])
    }
    this.#pushing = header.step!
    try {
      await next.stream.send({ header: { ...header, sessionId: next.sessionId }, tensors: [output] })
      this.#scheduleCopies()
    } catch (error) {
      this.#next = undefined
      this.#reply({
        kind: 'broken',
        epoch: header.epoch!,
        step: header.step!,
        fault: { code: errorCode(error), message: errorMessage(error) },
      })
    } finally {
      this.#pushing = 0
    }
  }

  async #route({ epoch = 0, step = 0, next }: FrameHeader): Promise<void> {
    if (next !== undefined) {
      const stream = await this.#modules.openPush(next)
      this.#dropNext()
      this.#next = { stream, sessionId: next.sessionId }
      if (this.#closed) return this.#dropNext()
    }
    this.#reply({ kind: 'routed', epoch, step })
  }

  #dropNext(): void {
    const next = this.#next
    this.#next = undefined
    if (next === undefined) return
    void Promise.race([next.stream.end(), sleep(ORDERLY_END_MS, undefined, { ref: false })]).then(() =>
      next.stream.abort(new PetalsError('SESSION_CLOSED', 'the push stream is no longer needed')),
    )
  }

  /**
   * Begins a new epoch. Of the step that failed (`until`) the client knows only that it was to begin at `position`:
   * where it was not done here, whatever lies behind may stem from before a cut-back and goes.
   */
  #resume({ epoch = 0, step = 0, position = 0, until = 0 }: FrameHeader): void {
    const { engine } = this.#modules
    this.#epoch = Math.max(this.#epoch, epoch)
    if (this.#lastStep < until) {
      engine.truncate(Math.min(engine.position, position))
      this.#outputs.truncate(position)
    }
    this.#reply({ ...this.#status({ kind: 'resume', step }), kind: 'resumed' })
  }

  /**
   * The other session's name is the right to copy it: only its client and the server before know it. Begins a new
   * epoch; its client waits for the answers of all servers before the first step of it.
   */
  async #fork({ epoch = 0, step = 0, position = 0, sessionId = '' }: FrameHeader): Promise<void> {
    const source = this.#modules.findSession(sessionId)
    if (source === undefined) throw new PetalsError('SESSION_UNKNOWN', 'this server holds no such session')
    const outputs = new OutputLog()
    outputs.copyFrom(source.#outputs, position)
    this.#outputs.truncate(0)
    await this.#modules.engine.forkFrom(source.#modules.engine, position)
    if (this.#closed) return
    this.#outputs.copyFrom(outputs, position)
    this.#epoch = Math.max(this.#epoch, epoch)
    // Copies go out behind the next step: by then the client has taken over what it holds of the other session.
    clearTimeout(this.#copyTimer)
    this.#copyTimer = undefined
    this.#reply({ ...this.#status({ kind: 'fork', step }), kind: 'forked' })
  }

  #status({ step = 0 }: FrameHeader): FrameHeader {
    const numbers = { received: this.#received, completed: this.#lastStep, pushing: this.#pushing }
    return { kind: 'status', step, epoch: this.#epoch, position: this.#modules.engine.position, numbers }
  }

  #fetch({ epoch = 0, step = 0, position = 0, until = 0 }: FrameHeader): void {
    const output = this.#outputs.range(position, until)
    if (output === undefined)
      throw new PetalsError('SESSION_OUTPUTS_GONE', `outputs ${position} to ${until} are not held here any more`)
    this.#reply({ kind: 'fetched', epoch, step, position }, [output])
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
    const { position, output } = unsent
    const [tokens = 0, width = 0] = output.shape
    const rowBytes = output.data.byteLength / tokens
    const rowsPerFrame = Math.max(1, Math.floor(MAX_COPY_BYTES / rowBytes))
    for (let row = 0; row < tokens; row += rowsPerFrame) {
      const end = Math.min(tokens, row + rowsPerFrame)
      const part = tensor(output.dtype, [end - row, width], output.data.subarray(row * rowBytes, end * rowBytes))
      this.#reply({ kind: 'copies', epoch: this.#epoch, position: position + row }, [part])
    }
  }

  /**
   * Positions that a step needs are not in the cache, or no longer: the client learns how many are, and replays the
   * others.
   */
  #reportGap({ epoch = 0, step = 0, position = 0 }: FrameHeader): void {
    const message = `a step at position ${position} came while the cache holds ${this.#modules.engine.position} tokens`
    this.#reply({ kind: 'broken', epoch, step, fault: { code: 'SESSION_POSITION', message } })
  }

  /** The request failed, the session lives on: the client decides. */
  #reportFailure({ epoch = 0, step = 0, kind }: FrameHeader, error: unknown): void {
    const code = errorCode(error)
    const message = code === 'INTERNAL' ? 'internal error' : errorMessage(error).slice(0, 500)
    if (!this.#closed) this.#modules.onFailure(kind, error)
    this.#reply({ kind: 'failed', epoch, step, fault: { code, message: `${kind}: ${message}` } })
  }

  #reply(header: FrameHeader, tensors: readonly Tensor[] = []): void {
    if (this.#closed) return
    // A client that is gone is noticed by the stream's end; one that does not read is cut off by the stream's own
    // limit.
    this.#modules.stream.send({ header, tensors }).catch(() => undefined)
  }
}
