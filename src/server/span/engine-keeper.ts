import { EventEmitter } from 'node:events'
import { PetalsError, errorMessage } from '../../base/errors.ts'
import type { Engine } from '../../engine/engine.ts'
import type { RunReport } from '../../engine/thread/messages.ts'
import { pause } from '../../swarm/deadline.ts'
import type { SwarmLogger } from '../../swarm/node/node.ts'

/** What loads engines, and what is told of their loss. */
export interface EngineKeeperModules {
  readonly load: (signal: AbortSignal) => Promise<Engine>
  /** The engine is lost: whoever uses it must stop now. */
  readonly onLost: (error: PetalsError) => void
  /** A new engine was loaded and is to be served. If this rejects, the attempt counts as failed. */
  readonly onLoaded: (engine: Engine) => Promise<void>
  readonly logger: SwarmLogger
}

/** Pauses before the attempts to load a lost span again; a device that was reset needs some time. */
const RELOAD_PAUSES_MS = [1000, 5000, 15_000, 60_000]

/**
 * How many of these attempts are made after a GPU was lost: it rarely comes back to the same process, which should
 * rather be restarted soon.
 */
const DEVICE_LOST_PAUSES = 1

/**
 * This many failed runs in a row, with none that works in between, mean that the device is at fault and not a request.
 */
const MAX_FAULTS = 3

/**
 * Holds a span's engine, and loads the span again when the engine is lost: when its thread has died or the device fails
 * every run. Events: `run` and `cache` of the current engine.
 */
export class EngineKeeper extends EventEmitter<{ run: [RunReport]; cache: [] }> {
  /** Resolves, with `SPAN_LOST`, if the span could not be loaded again. */
  readonly failed: Promise<PetalsError>
  /** How often the span was loaded again after its engine was lost. */
  numReloads = 0
  readonly #modules: EngineKeeperModules
  readonly #pausesMs: readonly number[]
  readonly #stopped = new AbortController()
  readonly #resolveFailed: (error: PetalsError) => void
  #engine: Engine
  #faults = 0
  #reloading: Promise<void> | undefined

  /** Takes over an engine that is being served already. */
  constructor(engine: Engine, modules: EngineKeeperModules, pausesMs: readonly number[] = RELOAD_PAUSES_MS) {
    super()
    const { promise, resolve } = Promise.withResolvers<PetalsError>()
    this.failed = promise
    this.#resolveFailed = resolve
    this.#modules = modules
    this.#pausesMs = pausesMs
    this.#engine = engine
    this.#watch(engine)
  }

  /** The current engine; between two engines, the last one. */
  get engine(): Engine {
    return this.#engine
  }

  get cacheTokens(): number {
    return this.#engine.cacheTokens
  }

  get cacheTokensLeft(): number {
    return this.#engine.cacheTokensLeft
  }

  get numSessions(): number {
    return this.#engine.numSessions
  }

  /** Closes the engine and ends any attempt to load it again. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#reloading
    await this.#engine.close()
  }

  /**
   * Gives the engine up for `reason` and loads what there is to load by then, without a pause; resolves when that is
   * served, or has failed for good. `prepare` runs just before the engine is given up, and after a reload that is under
   * way.
   */
  async replace(reason: PetalsError, prepare: () => void): Promise<void> {
    await this.#reloading
    if (this.#stopped.signal.aborted) return
    prepare()
    await this.#giveUp(reason, [0, ...this.#pausesMs])
  }

  #watch(engine: Engine): void {
    engine.on('cache', () => this.emit('cache'))
    engine.on('run', (report) => {
      if (report.results.every((result) => 'output' in result)) this.#faults = 0
      this.emit('run', report)
    })
    engine.on('fault', (error) => {
      if (error.code === 'RUNTIME_DEVICE_LOST') return this.#lose(error)
      if (error.code !== 'RUNTIME' && error.code !== 'RUNTIME_KERNEL') return
      this.#faults += 1
      if (this.#faults >= MAX_FAULTS)
        this.#lose(new PetalsError('ENGINE_LOST', `the device fails every run: ${error.message}`))
    })
    engine.on('failed', (error) => this.#lose(error))
  }

  #lose(error: PetalsError): void {
    if (this.#reloading !== undefined || this.#stopped.signal.aborted) return
    this.#modules.logger.warn({ reason: error.message }, 'the engine is lost; the span is loaded again')
    const isDeviceLost = error.code === 'RUNTIME_DEVICE_LOST'
    const pausesMs = isDeviceLost ? this.#pausesMs.slice(0, DEVICE_LOST_PAUSES) : this.#pausesMs
    const before = this.#engine
    void this.#giveUp(error, pausesMs).then(() => {
      if (this.#engine !== before) this.numReloads += 1
    })
  }

  async #giveUp(reason: PetalsError, pausesMs: readonly number[]): Promise<void> {
    this.#engine.removeAllListeners()
    this.#modules.onLost(reason)
    this.#reloading = this.#reload(reason, pausesMs).finally(() => {
      this.#reloading = undefined
    })
    await this.#reloading
  }

  async #reload(cause: PetalsError, pausesMs: readonly number[]): Promise<void> {
    await this.#engine.close()
    for (const [attempt, pauseMs] of pausesMs.entries()) {
      if (!(await pause(pauseMs, this.#stopped.signal))) return
      const error = await this.#tryLoad()
      if (error === undefined) return
      this.#modules.logger.warn(
        { reason: errorMessage(error), attempt: attempt + 1 },
        'the span could not be loaded again',
      )
    }
    this.#resolveFailed(
      new PetalsError(
        'SPAN_LOST',
        `the span's engine was lost and could not be loaded again in ${pausesMs.length} attempts; the reason: ` +
          `${cause.message}`,
      ),
    )
  }

  /** Loads the span and has it served. Returns undefined, or the error if that failed. */
  async #tryLoad(): Promise<unknown> {
    let engine: Engine | undefined
    try {
      engine = await this.#modules.load(this.#stopped.signal)
      this.#stopped.signal.throwIfAborted()
      await this.#modules.onLoaded(engine)
      this.#faults = 0
      this.#engine = engine
      this.#watch(engine)
      this.#modules.logger.info('the span is loaded and served')
      return undefined
    } catch (error) {
      if (engine !== undefined)
        this.#modules.onLost(
          new PetalsError('ENGINE_LOST', `the span loaded again does not work: ${errorMessage(error)}`),
        )
      await engine?.close()
      return error
    }
  }
}
