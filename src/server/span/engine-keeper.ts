import { EventEmitter } from 'node:events'
import { PetalsError, errorMessage } from '../../base/errors.ts'
import type { Engine } from '../../engine/engine.ts'
import type { RunReport } from '../../engine/thread/messages.ts'
import { pause } from '../../swarm/deadline.ts'
import type { SwarmLogger } from '../../swarm/node/node.ts'

export interface EngineKeeperModules {
  readonly load: (signal: AbortSignal) => Promise<Engine>
  /** The engine is lost: whatever uses it must end now. */
  readonly onLost: (error: PetalsError) => void
  /** A new engine is loaded and is to be put on the air; what this throws counts as a failed attempt. */
  readonly onLoaded: (engine: Engine) => Promise<void>
  readonly logger: SwarmLogger
}

/** Pauses before the attempts to load a lost span again: a device that was reset needs a while. */
const RELOAD_PAUSES_MS = [1000, 5000, 15_000, 60_000]

/** A GPU that is lost to this process is rarely found again by it: the process had better be restarted soon. */
const DEVICE_LOST_PAUSES = 1

/**
 * Runs that fail one after another, with none between that works, mean that the device is gone and not a request at
 * fault.
 */
const MAX_FAULTS = 3

/**
 * Holds a span's engine and loads it again when it is lost: when its thread has died, or the device fails every run.
 * Events: the present engine's `run` and `cache`.
 */
export class EngineKeeper extends EventEmitter<{ run: [RunReport]; cache: [] }> {
  /** Resolves, with `SPAN_LOST`, when the span could not be loaded again. */
  readonly failed: Promise<PetalsError>
  /** Times that the span was loaded again. */
  numReloads = 0
  readonly #modules: EngineKeeperModules
  readonly #pausesMs: readonly number[]
  readonly #stopped = new AbortController()
  readonly #resolveFailed: (error: PetalsError) => void
  #engine: Engine
  #faults = 0
  #reloading: Promise<void> | undefined

  /** Takes over an engine that serves already. */
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

  /** The present engine; while there is none, the last one. */
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

  /** Closes the engine and ends every attempt to load it again. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    await this.#reloading
    await this.#engine.close()
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
    this.#engine.removeAllListeners()
    this.#modules.logger.warn({ reason: error.message }, 'the engine is lost; the span is loaded again')
    this.#modules.onLost(error)
    this.#reloading = this.#reload(error).finally(() => {
      this.#reloading = undefined
    })
  }

  async #reload(cause: PetalsError): Promise<void> {
    await this.#engine.close()
    const pausesMs = cause.code === 'RUNTIME_DEVICE_LOST' ? this.#pausesMs.slice(0, DEVICE_LOST_PAUSES) : this.#pausesMs
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

  /** What went wrong, or undefined. */
  async #tryLoad(): Promise<unknown> {
    let engine: Engine | undefined
    try {
      engine = await this.#modules.load(this.#stopped.signal)
      this.#stopped.signal.throwIfAborted()
      await this.#modules.onLoaded(engine)
      this.#faults = 0
      this.#engine = engine
      this.#watch(engine)
      this.numReloads += 1
      this.#modules.logger.info('the span was loaded again and is served')
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
