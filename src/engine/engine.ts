import { EventEmitter, once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { PetalsError, errorMessage } from '../base/errors.ts'
import { startWorker } from '../base/thread/start-worker.ts'
import type { ModelConfig } from '../checkpoint/config/config.ts'
import { checkPrompts, checkSessionLength } from './session-limit.ts'
import { ropeKey } from '../families/rope.ts'
import { type Environment, attachEnvironment } from '../runtime/environment.ts'
import { convert } from '../tensor/convert.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import { type Tensor, tensor } from '../tensor/tensor.ts'
import { type Adapters, openAdapters } from './adapters/adapters.ts'
import { CacheMemory } from './cache/memory.ts'
import { scalesOf } from './cache/scales.ts'
import { RowBases } from './cache/window.ts'
import { recordsSteps } from './run/create-runner.ts'
import { promptsOfStep } from './run/deep-prompts.ts'
import { EngineSession } from './engine-session.ts'
import type { EngineWorkerData } from './thread/engine-worker.ts'
import { InlineDecode } from './run/inline-decode.ts'
import { type LoadOptions, type LoadResult, loadSpan, releaseSessions } from './loading/load.ts'
import type { EngineCommand, EngineEvent, Priority, RunReport, TaskResult } from './thread/messages.ts'
import { PendingTasks } from './thread/pending-tasks.ts'
import type { ReserveOptions, RowAllocator } from './cache/row-allocator.ts'
import { layOutRows } from './cache/row-layout.ts'
import { cacheBytes } from './run/runner.ts'
import { type SessionRoom, takeRoom } from './session-room.ts'
import { type SyncChannel, createSyncChannel, postSync, transferable } from './thread/sync-channel.ts'

export interface EngineOptions extends LoadOptions {
  /** KV cache in tokens, for every block of the span. */
  readonly cacheTokens: number
  readonly maxBatchRows?: number | undefined
  readonly prefillChunkTokens?: number | undefined
}

/** Blocks `start` to `end` of the model, which must lie within the engine's span. */
export interface SessionOptions extends ReserveOptions {
  readonly start: number
  readonly end: number
  readonly maxLength: number
  /** Name of the adapter that it goes through. */
  readonly adapter?: string | undefined
  /**
   * [end - start, positions, hidden]: what is added to each block's input at the first positions (deep prompt tuning).
   */
  readonly prompts?: Tensor | undefined
}

/** Decode rows bound in one run; more wait for the next one. */
const MAX_BATCH_ROWS = 64

/** One chunk is what a decode step of another session may have to wait for. */
const PREFILL_CHUNK_TOKENS = 256

/** A session's row, and its blocks within the span. */
interface RowSlot extends Pick<SessionRoom, 'row' | 'adapter'> {
  readonly rowId: number
  readonly ropeKey: string
  readonly start: number
  readonly end: number
  readonly prompts: Tensor | undefined
}

/**
 * Events: `run` (a RunReport) after each device run; `fault` when one failed, which only its own requests feel; `cache`
 * when a session has taken or given back its row; `failed` (`ENGINE_LOST`) when the engine thread has died: nothing
 * works from then on, and `close` gives everything back.
 */
export class Engine extends EventEmitter<{ run: [RunReport]; fault: [PetalsError]; cache: []; failed: [PetalsError] }> {
  readonly config: ModelConfig
  readonly start: number
  readonly end: number
  readonly dtype: FloatDType
  readonly blockDigests: readonly string[]
  readonly adapters: Adapters
  readonly #env: Environment
  /** Held: the sessions, and what they go on reading. */
  readonly #loaded: LoadResult
  readonly #cache: CacheMemory
  readonly #inline: InlineDecode
  readonly #worker: Worker
  readonly #channel: SyncChannel
  readonly #rows: RowAllocator
  readonly #bases: RowBases | undefined
  readonly #slots = new WeakMap<EngineSession, RowSlot>()
  readonly #pending = new PendingTasks()
  #nextRowId = 1
  #failure: Error | undefined
  #closed: Promise<void> | undefined

  /**
   * Loads the span in threads of its own and starts the engine thread. Throws what loading throws; nothing is left
   * behind.
   */
  static async load(options: EngineOptions): Promise<Engine> {
    const loaded = await loadSpan(options)
    try {
      return new Engine(options, loaded)
    } catch (error) {
      releaseSessions(loaded)
      throw error
    }
  }

  private constructor(options: EngineOptions, loaded: LoadResult) {
    super()
    this.config = options.checkpoint.config
    this.start = options.start
    this.end = options.end
    this.dtype = options.dtype
    this.blockDigests = loaded.blockDigests
    const { prefillChunkTokens = PREFILL_CHUNK_TOKENS, maxBatchRows = MAX_BATCH_ROWS } = options
    const { rows, window } = layOutRows(
      { ...options, config: this.config, stepTokens: prefillChunkTokens },
      loaded.span.resident === undefined,
    )
    this.#rows = rows
    this.#bases = window && new RowBases(window)
    this.#channel = createSyncChannel()
    this.#env = attachEnvironment(loaded.environment)
    this.#loaded = loaded
    this.#cache = new CacheMemory(options.device, options.end - options.start, rows.positions * cacheBytes(loaded.span))
    this.adapters = openAdapters(options)
    const span = {
      ...loaded.span,
      caches: this.#cache.blocks,
      window,
      adapters: this.adapters.stacks,
      scales: scalesOf(loaded.span, rows.positions),
    }
    this.#inline = new InlineDecode(this.#env, span)
    const workerData: EngineWorkerData = {
      receiver: this.#channel.receiver,
      environment: loaded.environment,
      config: this.config,
      span,
      limits: {
        maxBatchRows,
        prefillChunkTokens,
        hiddenBytes: loaded.hiddenBytes,
        windowCacheTokens: recordsSteps(span) ? rows.totalTokens : undefined,
      },
    }
    this.#worker = startWorker(import.meta.url, 'thread/engine-worker', {
      workerData,
      transferList: [this.#channel.receiver.port],
    })
    this.#worker.on('error', (error) => this.#died(errorMessage(error)))
    this.#worker.on('exit', (code) => this.#died(`it ended with code ${code}`))
    this.#channel.port.on('message', (event: EngineEvent) => this.#onEvent(event))
  }

  get cacheTokens(): number {
    return this.#rows.totalTokens
  }

  /** KV cache of all blocks; on a CPU it takes memory only as it is written. */
  get cacheBytes(): number {
    return 2 * this.#cache.blocks.length * this.#rows.totalTokens * cacheBytes(this.#loaded.span)
  }

  get cacheTokensLeft(): number {
    return this.#rows.tokensLeft
  }

  get numSessions(): number {
    return this.#rows.numRows
  }

  /**
   * Reserves cache for one sequence. Throws `CACHE_FULL`, `CACHE_TOO_SMALL`, `SPAN_NOT_HELD`, `SESSION_TOO_LONG`, or as
   * `Adapters.acquire`.
   */
  async openSession({ start, end, maxLength, adapter, prompts, ...reserve }: SessionOptions): Promise<EngineSession> {
    this.#checkSpan(start, end)
    checkSessionLength(this.config, maxLength)
    if (prompts !== undefined) checkPrompts(prompts, end - start, this.config.hiddenSize)
    const { row, adapter: range, release } = await takeRoom(this.#rows, this.adapters, maxLength, adapter, reserve)
    const rowId = this.#nextRowId++
    this.#post({ type: 'open', rowId, row, maxLength, adapter: range })
    this.emit('cache')
    const slot = {
      rowId,
      row,
      adapter: range,
      ropeKey: ropeKey(this.config.ropes, maxLength),
      start: start - this.start,
      end: end - this.start,
      prompts: prompts && convert(prompts, this.dtype),
    }
    const session = new EngineSession({
      maxLength,
      step: (position, hidden, priority) => this.#step(slot, position, hidden, priority),
      reaches: (position) => this.#bases?.reaches(row, position) ?? true,
      copyFrom: (source, tokens) => this.#fork(slot, this.#slots.get(source), tokens),
      release: () => {
        this.#post({ type: 'release', rowId })
        this.#pending.cancel(rowId)
        release()
        this.emit('cache')
      },
    })
    this.#slots.set(session, slot)
    return session
  }

  /**
   * The blocks' output for whole sequences, `hidden` [batch, tokens, hidden], without a session of the caller's: each
   * sequence takes a row of the cache for as long as it computes, behind all inference.
   */
  async forward(
    hidden: Tensor,
    { start, end, adapter, prompts, timeoutMs, signal }: Omit<SessionOptions, 'maxLength'>,
  ): Promise<Tensor> {
    const [batch = 0, tokens = 0, width = 0] = hidden.shape
    const output = new Uint8Array(hidden.data.byteLength)
    const session = await this.openSession({ start, end, maxLength: tokens, adapter, prompts, timeoutMs, signal })
    try {
      const rowBytes = hidden.data.byteLength / batch
      for (let row = 0; row < batch; row++) {
        signal?.throwIfAborted()
        session.truncate(0)
        const input = tensor(hidden.dtype, [tokens, width], hidden.data.slice(row * rowBytes, (row + 1) * rowBytes))
        output.set((await session.step(input, 'forward')).data, row * rowBytes)
      }
    } finally {
      session.release()
    }
    return tensor(hidden.dtype, hidden.shape, output)
  }

  /** Ends the engine thread after the run it is in; whatever still waits is rejected with `ENGINE_CLOSED`. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    if (this.#failure === undefined) {
      // A thread that dies now is gone as well.
      const exited = once(this.#worker, 'exit').catch(() => undefined)
      this.#post({ type: 'close' })
      this.#fail(new PetalsError('ENGINE_CLOSED', 'the engine was closed'))
      await exited
    }
    await this.#worker.terminate()
    this.#channel.port.close()
    this.#inline.close()
    this.#cache.release()
    this.adapters.close()
    releaseSessions(this.#loaded)
  }

  #checkSpan(start: number, end: number): void {
    if (Number.isInteger(start) && Number.isInteger(end) && this.start <= start && start < end && end <= this.end)
      return
    throw new PetalsError(
      'SPAN_NOT_HELD',
      `blocks ${start}:${end} were asked for, this server holds ${this.start}:${this.end}`,
    )
  }

  async #step(slot: RowSlot, position: number, hidden: Tensor, priority: Priority): Promise<Tensor> {
    const [tokens = 0, width = 0] = hidden.shape
    if (hidden.dtype !== this.dtype || hidden.shape.length !== 2 || width !== this.config.hiddenSize || tokens < 1) {
      throw new PetalsError(
        'TENSOR_SHAPE',
        `hidden states ${hidden.dtype} [${hidden.shape}]: expected ${this.dtype} [tokens, ${this.config.hiddenSize}]`,
      )
    }
    const { rowId, row, ropeKey, start, end } = slot
    const prompts = promptsOfStep(slot.prompts, position, tokens)
    const decode = tokens === 1 && priority === 'inference' && prompts === undefined
    if (decode && this.#inline.suits(rowId, ropeKey, row, position) && this.#pending.size === 0)
      return this.#stepInline(slot, position, hidden)
    const { taskId, output } = this.#pending.add(rowId)
    this.#post({
      type: 'step',
      taskId,
      rowId,
      start,
      end,
      position,
      tokens,
      priority,
      hidden: transferable(hidden.data),
      prompts,
    })
    return tensor(hidden.dtype, hidden.shape, await output)
  }

  #stepInline(slot: RowSlot, position: number, hidden: Tensor): Tensor {
    if (this.#failure !== undefined) throw this.#failure
    try {
      const { output, report } = this.#inline.run({ ...slot, position, hidden: hidden.data })
      // Nobody has to wake up for this: it is read before the next command that matters.
      this.#channel.port.postMessage(
        { type: 'length', rowId: slot.rowId, length: position + 1 } satisfies EngineCommand,
        [],
      )
      this.emit('run', report)
      return tensor(hidden.dtype, hidden.shape, output)
    } catch (error) {
      if (error instanceof PetalsError) this.emit('fault', error)
      throw error
    }
  }

  async #fork(slot: RowSlot, source: RowSlot | undefined, tokens: number): Promise<void> {
    const { rowId, start, end, ropeKey } = slot
    if (
      source === undefined ||
      source.start !== start ||
      source.end !== end ||
      source.ropeKey !== ropeKey ||
      source.adapter !== slot.adapter
    ) {
      throw new PetalsError(
        'SESSION_FORK',
        'caches can only be copied between sessions of the same blocks and adapter whose declared lengths ' +
          'give the same angles',
      )
    }
    const { taskId, output } = this.#pending.add(rowId)
    this.#post({ type: 'fork', taskId, rowId, fromRowId: source.rowId, start, end, tokens })
    await output
  }

  #post(command: EngineCommand): void {
    if (this.#failure !== undefined) {
      if (command.type === 'release') return
      throw this.#failure
    }
    postSync(this.#channel, command, command.type === 'step' ? [command.hidden.buffer as ArrayBuffer] : [])
  }

  #onEvent(event: EngineEvent): void {
    if (event.type === 'closed') return
    if (event.type === 'rope') return this.#inline.addTable(event.key, event.table)
    if (event.type === 'forked')
      return this.#settle({ taskId: event.taskId, ...(event.fault ?? { output: new Uint8Array(0) }) })
    this.#inline.observe(event)
    for (const result of event.results) this.#settle(result)
    this.emit('run', event)
  }

  #settle(result: TaskResult): void {
    const error = this.#pending.settle(result)
    if (error !== undefined) this.emit('fault', error)
  }

  #died(reason: string): void {
    if (this.#failure !== undefined) return
    const error = new PetalsError('ENGINE_LOST', `the engine thread died: ${reason}`)
    this.#fail(error)
    this.emit('failed', error)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#pending.failAll(error)
  }
}
