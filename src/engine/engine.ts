import { EventEmitter } from 'node:events'
import { orAborted } from '../base/abort.ts'
import type { PetalsError } from '../base/errors.ts'
import type { ModelConfig } from '../checkpoint/config/config.ts'
import { attachEnvironment } from '../runtime/environment.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { type Adapters, openAdapters } from './adapters/adapters.ts'
import { type BackwardPassOptions, type PassGradients, backwardPass } from './backward-passes.ts'
import type { CacheAccounts } from './cache/kv-cache.ts'
import { bufferAccounts } from './cache/buffers/buffer-layout.ts'
import { layOutRows } from './cache/rows/row-layout.ts'
import { BlockMemory, type RowMemory, cacheBytes } from './cache/rows/row-memory.ts'
import { scalesOf } from './cache/rows/scales.ts'
import { type ForwardPassOptions, forwardPass } from './forward-passes.ts'
import { type LoadOptions, type LoadResult, loadSpan } from './loading/load.ts'
import { releaseSpan } from './loading/release-span.ts'
import { passPieceTokens } from './plan/pass-pieces.ts'
import { blockBytes } from './plan/plan.ts'
import { defaultRunLimits } from './plan/run-limits.ts'
import { InlineDecode } from './run/inline-decode.ts'
import type { EngineSession } from './session/engine-session.ts'
import { EngineSessions, type EngineSessionOptions } from './session/engine-sessions.ts'
import { Turns } from './schedule/turns.ts'
import { EngineThread } from './thread/engine-thread.ts'
import type { RunReport } from './thread/messages.ts'
import { Training } from './training.ts'

export type { BackwardPassOptions, EngineSessionOptions, ForwardPassOptions, PassGradients }

export interface EngineOptions extends LoadOptions {
  /** KV cache in tokens, for every block of the span. */
  readonly cacheTokens: number
  readonly maxBatchRows?: number | undefined
  readonly prefillChunkTokens?: number | undefined
  /** What backward passes may take of memory; without it none are computed. */
  readonly trainingBytes?: number | undefined
}

interface EngineEvents {
  run: [RunReport]
  fault: [PetalsError]
  cache: []
  failed: [PetalsError]
}

/**
 * A loaded span: sessions on its KV cache, and forward passes. It owns what was loaded, the cache's memory and the
 * engine thread, and gives all of it back. Events: `run` (a RunReport) after each device run; `fault` when one failed,
 * which only its own requests feel; `cache` when a session has taken or given back a part of the cache; `failed`
 * (`ENGINE_LOST`) when the engine thread has died: nothing works from then on, and `close` gives everything back.
 */
export class Engine extends EventEmitter<EngineEvents> {
  readonly config: ModelConfig
  readonly start: number
  readonly end: number
  readonly dtype: FloatDType
  readonly blockDigests: readonly string[]
  readonly adapters: Adapters
  /** How long the weights took to be read, converted and built into sessions. */
  readonly loadSeconds: number
  /** Held: the sessions of the runtime, and what they go on reading. */
  readonly #loaded: LoadResult
  readonly #accounts: CacheAccounts
  readonly #memory: BlockMemory | undefined
  readonly #inline: InlineDecode
  readonly #thread: EngineThread
  readonly #sessions: EngineSessions
  readonly #training: Training
  readonly #turns = new Turns()
  #closed: Promise<void> | undefined

  /**
   * Loads the span in threads of its own and starts the engine thread. Throws what loading throws; nothing is left
   * then.
   */
  static async load(options: EngineOptions): Promise<Engine> {
    const began = performance.now()
    const loaded = await loadSpan(options)
    let engine: Engine
    try {
      engine = new Engine(options, loaded, (performance.now() - began) / 1000)
    } catch (error) {
      releaseSpan(loaded.span)
      throw error
    }
    try {
      await engine.#prepare(options)
      return engine
    } catch (error) {
      await engine.close()
      throw error
    }
  }

  private constructor(options: EngineOptions, loaded: LoadResult, loadSeconds: number) {
    super()
    this.loadSeconds = loadSeconds
    const { checkpoint, start, end, dtype, cacheTokens } = options
    const { device } = options
    const byDefault = defaultRunLimits({ device: device.kind, dtype })
    const { prefillChunkTokens = byDefault.prefillChunkTokens, maxBatchRows = byDefault.maxBatchRows } = options
    const pieceTokens =
      options.prefillChunkTokens ??
      passPieceTokens(checkpoint.config, { device: device.kind }, byDefault.prefillChunkTokens)
    this.config = checkpoint.config
    this.start = start
    this.end = end
    this.dtype = dtype
    this.blockDigests = loaded.blockDigests
    this.#loaded = loaded
    const { config } = checkpoint
    const onHost = loaded.span.resident === undefined
    const layout =
      device.kind === 'webgpu'
        ? undefined
        : layOutRows({ config, start, end, cacheTokens, stepTokens: prefillChunkTokens, onHost })
    const accounts = layout?.accounts ?? bufferAccounts(cacheTokens)
    const numBlocks = end - start
    this.#accounts = accounts
    // Buffers are made as sequences grow, in the engine thread.
    this.#memory = layout && new BlockMemory(device, numBlocks, accounts.positions * cacheBytes(loaded.span))
    try {
      this.#training = new Training({
        ...options,
        environment: loaded.environment,
        trainingBytes: options.trainingBytes ?? 0,
        pieceTokens,
      })
      this.adapters = openAdapters(options)
    } catch (error) {
      this.#memory?.release()
      throw error
    }
    const { stacks, ranks } = this.adapters
    const span = { ...loaded.span, adapters: stacks, adapterRanks: ranks }
    const memory: RowMemory | undefined = layout && {
      device,
      kvHeads: span.kvHeads,
      tokenBytes: cacheBytes(span),
      blocks: this.#memory!.blocks,
      window: layout.window,
      scales: scalesOf(span, numBlocks, accounts.positions),
      discards: layout.sparse,
    }
    this.#inline = new InlineDecode(attachEnvironment(loaded.environment), span, memory)
    this.#thread = new EngineThread({
      environment: loaded.environment,
      config,
      span,
      memory,
      cacheTokens: accounts.totalTokens,
      limits: { maxBatchRows, prefillChunkTokens, passPieceTokens: pieceTokens },
      pinnedBytes: this.#training.pinnedBytes,
    })
    this.#sessions = new EngineSessions({
      config,
      dtype,
      span: this,
      accounts,
      adapters: this.adapters,
      thread: this.#thread,
      inline: this.#inline,
      onRun: (report) => this.emit('run', report),
      onCache: () => this.emit('cache'),
    })
    this.#forwardEvents()
  }

  /** What the blocks' weights take, as the plan counts them. */
  get weightBytes(): number {
    const { device, quant } = this.#loaded.span
    const { config, dtype, start, end } = this
    return (end - start) * blockBytes(config, { device: device.kind, dtype, quant, stored: config.storedQuant })
  }

  get cacheTokens(): number {
    return this.#accounts.totalTokens
  }

  /** KV cache of all blocks; on a CPU it takes memory only as it is written. */
  get cacheBytes(): number {
    return 2 * (this.end - this.start) * this.#accounts.totalTokens * cacheBytes(this.#loaded.span)
  }

  get cacheTokensLeft(): number {
    return this.#accounts.tokensLeft
  }

  get numSessions(): number {
    return this.#accounts.numSequences
  }

  /** Opens a session on one sequence's part of the cache. Throws as `EngineSessions.open`. */
  openSession(options: EngineSessionOptions): Promise<EngineSession> {
    return this.#sessions.open(options)
  }

  /** The blocks' output for whole sequences [sequences, tokens, hidden], without the cache. As `forwardPass`. */
  forward(hidden: Tensor, options: ForwardPassOptions): Promise<Tensor> {
    const { config, dtype, adapters } = this
    return forwardPass({ config, dtype, span: this, adapters, thread: this.#thread }, hidden, options)
  }

  /** The most tokens that a sequence of a backward pass may have; 0: none are computed. */
  get backwardTokens(): number {
    return this.#training.maxTokens
  }

  /** The gradients of a forward pass with respect to what goes into it. As `backwardPass`. */
  backward(hidden: Tensor, gradient: Tensor, options: BackwardPassOptions): Promise<PassGradients> {
    const { config, dtype, adapters } = this
    const training = this.#training
    const modules = { config, dtype, span: this, adapters, thread: this.#thread, training, turns: this.#turns }
    return backwardPass(modules, hidden, gradient, options)
  }

  /** Ends the engine thread after the run it is in; whatever still waits is rejected with `ENGINE_CLOSED`. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Waits until the engine thread can compute: on a device it compiles things first. Rejects with what it throws. */
  async #prepare({ device, onProgress, signal }: EngineOptions): Promise<void> {
    if (device.kind === 'cpu') return
    this.#thread.on('prepared', ({ prepared, toPrepare }) => onProgress?.({ prepared, toPrepare }))
    await orAborted(this.#thread.ready(), signal)
  }

  async #close(): Promise<void> {
    const ended = this.#thread.close()
    this.#accounts.close(this.#thread.failure!)
    const hasShutDown = await ended
    await this.#training.close()
    this.#inline.close()
    this.#memory?.release()
    this.adapters.close()
    releaseSpan(this.#loaded.span, { onDevice: !hasShutDown })
  }

  #forwardEvents(): void {
    this.#thread.on('run', (report) => {
      this.#inline.observe(report)
      this.emit('run', report)
    })
    this.#thread.on('rope', ({ key, table }) => this.#inline.addTable(key, table))
    this.#thread.on('fault', (error) => this.emit('fault', error))
    this.#thread.on('failed', (error) => {
      this.#accounts.close(error)
      this.emit('failed', error)
    })
  }
}
