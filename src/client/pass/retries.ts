import { orAborted } from '../../base/abort.ts'
import { PetalsError, errorCode, isTransient } from '../../base/errors.ts'
import { pause } from '../../swarm/deadline.ts'
import type { RouteSpan } from '../remote/routes/route-request.ts'
import { NoRouteError } from '../remote/routes/routing.ts'
import type { PassAccess } from './pass-access.ts'
import type { PassPlan, Refusal } from './pass-plan.ts'

/** The pauses before a piece is tried again: none at first, since another server may be there. */
const PAUSES_MS = [0, 250, 500, 1000, 2000]

/** How many servers in a row must compute NaN of the same input to be believed. */
const NONFINITE_SERVERS = 3

/** Codes with which one server refuses what others may do; it will go on refusing. */
const REFUSALS: ReadonlySet<string> = new Set([
  'ADAPTER_MEMORY',
  'ADAPTER_REFUSED',
  'MODEL_UNKNOWN',
  'SPAN_NOT_HELD',
  'TRAINING_MEMORY',
  'TRAINING_OFF',
])

/** A server has lost an adapter that it can be brought again. */
export class AdapterLost extends PetalsError {
  constructor(cause: Error) {
    super('ADAPTER_UNKNOWN', cause.message, { cause })
  }
}

/**
 * Decides whether a piece goes on after a failure. Servers that have failed are avoided, and those that refuse are left
 * out of the pass; what no other server would cure ends it.
 */
export class Retries {
  readonly #swarm: PassAccess
  readonly #refusals: Map<string, Refusal>
  readonly #recoveryTimeoutMs: number
  readonly #signal: AbortSignal
  /** Failures since the last piece of work that was done, and when the first of them was. */
  #failures = 0
  #since = 0
  readonly #nonFinite = new Set<string>()
  /** Servers that had lost the adapter and were brought it again. */
  readonly #provided = new Set<string>()
  #hasWorked = false

  constructor(
    swarm: PassAccess,
    options: Pick<PassPlan, 'refusals'> & { readonly recoveryTimeoutMs: number; readonly signal: AbortSignal },
  ) {
    this.#swarm = swarm
    this.#refusals = options.refusals
    this.#recoveryTimeoutMs = options.recoveryTimeoutMs
    this.#signal = options.signal
  }

  /** A server has done its part: what failed before no longer counts. */
  worked({ server }: RouteSpan): void {
    this.#hasWorked = true
    this.#failures = 0
    this.#nonFinite.clear()
    this.#provided.clear()
    this.#swarm.worked?.(server.peerId)
  }

  /**
   * No server was found. Waits, since servers come and go, or throws: at once where none was there from the beginning,
   * and what a server that could have done it said instead, if any did.
   */
  async noRoute(error: unknown): Promise<void> {
    this.#signal.throwIfAborted()
    if (error instanceof NoRouteError) {
      const { missingBlocks: missing } = error
      for (const { span, error } of this.#refusals.values())
        if (missing.some((block) => span.server.start <= block && block < span.server.end)) throw error
    }
    const isFirst = !this.#hasWorked && this.#failures === 0
    if (isFirst || !isTransient(error) || (error instanceof NoRouteError && error.isFinal)) throw error
    await this.#goOn(error as Error)
  }

  /**
   * A server has failed: resolves when the piece is to be tried again, and throws where that is of no use. To bring a
   * server its adapter again helps once.
   */
  async failed(span: RouteSpan, error: unknown): Promise<void> {
    this.#signal.throwIfAborted()
    const { peerId } = span.server
    const isLost = error instanceof AdapterLost
    const isBrought = isLost && !this.#provided.has(peerId)
    if (isBrought) this.#provided.add(peerId)
    else if (isLost || REFUSALS.has(errorCode(error))) this.#refusals.set(peerId, { span, error: error as Error })
    else if (!isTransient(error)) throw error
    else this.#swarm.avoid(peerId, error as Error)
    if (!isBrought) this.#swarm.lanes.failed(peerId)
    if (errorCode(error) === 'TENSOR_NONFINITE') this.#countNonFinite(peerId, error as PetalsError)
    await this.#goOn(error as Error)
  }

  /** One server may send anything; what several of them say, or one again, is so. */
  #countNonFinite(peerId: string, error: PetalsError): void {
    const isAgain = this.#nonFinite.has(peerId)
    this.#nonFinite.add(peerId)
    if (isAgain || this.#nonFinite.size >= NONFINITE_SERVERS) throw error
  }

  async #goOn(error: Error): Promise<void> {
    const now = performance.now()
    if (this.#failures === 0) this.#since = now
    const pauseMs = PAUSES_MS[Math.min(this.#failures, PAUSES_MS.length - 1)]!
    if (now + pauseMs - this.#since > this.#recoveryTimeoutMs) throw error
    this.#failures += 1
    await pause(pauseMs, this.#signal)
    this.#signal.throwIfAborted()
    // Where no peer answers, the map stays as it is.
    await orAborted(this.#swarm.refresh(), this.#signal).catch(() => this.#signal.throwIfAborted())
  }
}
