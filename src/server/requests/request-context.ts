import { setTimeout as sleep } from 'node:timers/promises'
import { PetalsError, errorCode, errorMessage } from '../../base/errors.ts'
import type { Engine } from '../../engine/engine.ts'
import type { SwarmLogger, SwarmNode } from '../../swarm/node/node.ts'
import { type TracedLogger, tracedLogger } from '../../swarm/node/trace.ts'
import type { PeerGuard } from '../../swarm/peer-rules.ts'
import { RateLimit } from '../../swarm/rate-limit.ts'
import { Pace } from '../rates/pace.ts'
import { ServerStats } from './server-stats.ts'

export interface RequestContextModules {
  readonly node: Pick<SwarmNode, 'peerId' | 'tracing' | 'open'> & {
    readonly peerGuard: Pick<PeerGuard, 'received' | 'sent'>
  }
  /** The engine that serves first. */
  readonly engine: Engine
  readonly logger: SwarmLogger
}

export interface RequestContextOptions {
  /** The model that is served. */
  readonly modelKey: string
  /** How many tokens a client may have computed in a second. */
  readonly tokensPerSecond?: number | undefined
}

/** What all requests for a span are answered with: the engine that serves now, its pace, and what is told of them. */
export class RequestContext {
  readonly stats = new ServerStats()
  readonly pace = new Pace()
  readonly node: RequestContextModules['node']
  readonly logger: SwarmLogger
  readonly #modelKey: string
  readonly #tokens: RateLimit
  #engine: Engine
  /** The error that every request is answered with while the engine is lost. */
  #suspended: PetalsError | undefined

  constructor({ node, engine, logger }: RequestContextModules, options: RequestContextOptions) {
    this.node = node
    this.logger = logger
    this.#engine = engine
    this.#modelKey = options.modelKey
    this.#tokens = new RateLimit(options.tokensPerSecond ?? Infinity)
  }

  /** Answers every request with this error until `resume`. */
  suspend(error: PetalsError): void {
    this.#suspended = error
  }

  /** Serves from this engine from now on. */
  resume(engine: Engine): void {
    this.#engine = engine
    this.#suspended = undefined
  }

  /** The engine that serves a model. Throws `MODEL_UNKNOWN`, or why there is none just now. */
  engineFor(modelKey: string): Engine {
    if (modelKey !== this.#modelKey)
      throw new PetalsError('MODEL_UNKNOWN', `this server holds ${this.#modelKey}, not ${modelKey}`)
    if (this.#suspended !== undefined) throw this.#suspended
    return this.#engine
  }

  /** Counts tokens that a client asks for; resolves when it may have them. */
  admitTokens(client: string, tokens: number): Promise<void> | undefined {
    const waitMs = this.#tokens.spend(client, tokens)
    return waitMs > 0 ? sleep(waitMs, undefined, { ref: false }) : undefined
  }

  /** A logger for one request. */
  logOf(trace?: string): TracedLogger {
    return tracedLogger(this.logger, trace)
  }

  /** The result of a part of a request of this kind; its failure is reported. */
  async reported<T>(kind: string, log: TracedLogger, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      this.report(kind, log, error)
      throw error
    }
  }

  /** Counts and logs that a request of this kind has failed. */
  report(kind: string, log: TracedLogger, error: unknown): void {
    this.stats.failed(error)
    log.debug({ kind, code: errorCode(error), reason: errorMessage(error) }, 'a request failed')
  }
}
