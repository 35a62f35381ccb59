// Room session/: one sequence's KV caches on a chain of servers, which survive the loss of any of them. Rooms, from the
// ground up: inputs/ (what the client keeps, for repairs, of what spans were sent), server/ (the session on one server,
// and whether that one still lives), chain/ (which servers, one after another), steps/ (hidden states through all of
// them), repair/ (lost servers replaced, sessions forked).

import { EventEmitter } from 'node:events'
import { PetalsError, UsageError, isTransient } from '../../base/errors.ts'
import { sharedTurns } from '../../base/shared-turns.ts'
import { knows } from '../../swarm/protocol-version.ts'
import type { Activations } from '../../tensor/activations.ts'
import { allFinite } from '../../tensor/finite.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { decodeActivations } from '../../tensor/travel.ts'
import { NoRouteError } from '../remote/routes/routing.ts'
import type { SwarmAccess } from '../remote/swarm-access.ts'
import type { Chain, ChainOptions } from './chain/chain.ts'
import { CopyPuller } from './steps/copy-puller.ts'
import { checkFork } from './repair/fork.ts'
import type { Link } from './server/link.ts'
import { type RepairOptions, Repairs } from './repair/repairs.ts'
import type { SessionEvents } from './repair/reports.ts'
import { RootInputs } from './inputs/root-inputs.ts'
import { traceSession } from './session-span.ts'
import type { StepOptions } from './step-options.ts'
import type { ForkOptions } from './repair/fork.ts'
import { StepAbortedError, StepRunner, UnsoundStepError } from './steps/step-runner.ts'

export type { Recovery, Waiting } from './repair/reports.ts'

/** How a session is opened and repaired. */
export interface InferenceSessionOptions extends ChainOptions, RepairOptions {
  /** How long a session tries to go on before a step fails. */
  readonly recoveryTimeoutMs: number
}

/**
 * One sequence's KV caches on a chain of servers. Steps go from server to server. A server that dies, freezes or fails
 * is replaced and only its span is replayed; the session goes on at the same position.
 */
export class InferenceSession extends EventEmitter<SessionEvents<InferenceSession>> implements AsyncDisposable {
  /** Blocks `start` to `end` of the model, `end` not included. */
  readonly start: number
  readonly end: number
  readonly maxLength: number
  readonly #swarm: SwarmAccess
  readonly #options: InferenceSessionOptions
  readonly #runner: StepRunner
  readonly #chain: Chain
  readonly #repairs: Repairs
  readonly #root = new RootInputs()
  readonly #copies: CopyPuller | undefined
  #position = 0
  #busy = false
  /** Number of sessions that are being forked from this one. */
  #readers = 0
  #closed = false

  constructor(swarm: SwarmAccess, options: InferenceSessionOptions) {
    super()
    this.start = options.start
    this.end = options.end
    this.maxLength = options.maxLength
    this.#swarm = swarm
    this.#options = options
    this.#runner = new StepRunner(swarm, options, this.#root, (error) => this.emit('lost', error))
    this.#chain = this.#runner.chain
    this.#repairs = this.#newRepairs()
    if (options.pullsCopies) {
      const { chain, numbers } = this.#runner
      this.#copies = new CopyPuller({ chain, numbers, position: () => this.#position })
    }
    if (swarm.tracing !== undefined) traceSession(this, swarm.tracing)
  }

  /** The id under which the session appears in the logs of all nodes that it passes. */
  get trace(): string {
    return this.#chain.trace
  }

  /** The parts of the chain, with what is held for repairs: for a look inside. */
  get links(): readonly Link[] {
    return this.#chain.links
  }

  /** Tokens that servers had to compute again for this session, in forks and in repairs: for each span by itself. */
  get replayedTokens(): number {
    return this.#repairs.replayedTokens
  }

  /** Number of tokens in the caches. */
  get position(): number {
    return this.#position
  }

  /**
   * Cuts the session back: the next step continues at `position`. Throws `SESSION_POSITION` for a larger position than
   * the current one, and `SESSION_BUSY`.
   */
  set position(position: number) {
    if (!Number.isInteger(position) || position < 0 || position > this.#position) {
      throw new PetalsError(
        'SESSION_POSITION',
        `position ${position}: the session holds ${this.#position} tokens and can only be cut back`,
      )
    }
    this.#checkIdle()
    if (position === this.#position) return
    // Copies of outputs that are cut off may still be on their way; in a new epoch they are ignored.
    this.#runner.numbers.beginEpoch()
    this.#position = position
    for (const { inputs } of this.#chain.links) inputs.truncate(position)
  }

  /**
   * Sends `hidden` [tokens, hidden] (embeddings) through all blocks; returns the last block's output, the last `rows`
   * rows of it [rows, hidden]. Throws `SESSION_OVERFLOW`, `SESSION_BUSY`, `TENSOR_SHAPE`, `USAGE` for more rows than
   * tokens, `NO_ROUTE` if no route was found in time, `SESSION_ABORTED` or the signal's reason if that was aborted, or
   * the reason for which a server refused the request.
   */
  async step(hidden: Tensor, { rows = hidden.shape[0] ?? 0, from, signal }: StepOptions = {}): Promise<Tensor> {
    const tokens = hidden.shape[0] ?? 0
    this.#checkStep(hidden, tokens)
    if (!Number.isInteger(rows) || rows < 1 || rows > tokens)
      throw new UsageError(`rows is ${rows}: expected an integer from 1 to ${tokens}, the number of tokens`)
    const before = this.#position
    this.#busy = true
    this.#copies?.stepBegan()
    try {
      return await this.#takeStep(hidden, { rows, from, signal })
    } catch (error) {
      // Servers may or may not have done the step. In a new epoch the next step, maybe with other tokens, is not taken
      // for it.
      this.#runner.numbers.beginEpoch()
      this.#position = before + (error instanceof StepAbortedError ? error.tokensDone : 0)
      throw error
    } finally {
      this.#busy = false
      this.#copies?.stepEnded()
    }
  }

  async #takeStep(hidden: Tensor, { rows, from, signal }: StepOptions & { readonly rows: number }): Promise<Tensor> {
    for (const { inputs } of this.#chain.links) inputs.truncate(this.#position)
    this.#root.truncate(this.#position)
    this.#root.write(this.#position, hidden, from)
    const made = await this.#tryStep(hidden, rows, signal)
    // Answers for many sessions come at the same moment: what follows is divided among turns of the event loop.
    const turn = sharedTurns.next()
    if (turn !== undefined) await turn
    const output = await decodeActivations(made, 'float32')
    this.#position += hidden.shape[0]!
    return output
  }

  /**
   * A new session that holds the first `position` tokens of this one, on the same servers as far as they have room.
   * Throws as `forkFrom`.
   */
  async fork(position = this.#position): Promise<InferenceSession> {
    const session = new InferenceSession(this.#swarm, this.#options)
    this.emit('fork', session)
    try {
      await session.forkFrom(this, position)
    } catch (error) {
      await session.close()
      throw error
    }
    return session
  }

  /**
   * Replaces this session's contents by the first `position` tokens of `source`, a session over the same blocks.
   * Servers that hold both sessions copy their caches. The rest of this session moves to the source's servers or, where
   * they have no room, is replayed. Several sessions may fork from one at a time; meanwhile none of them can be
   * stepped.
   *
   * Throws `SESSION_POSITION`, `SESSION_OVERFLOW`, `SESSION_BUSY`, `SESSION_FORK` for other blocks or, with
   * `onlyCopies`, where it would take more than copies, or as `step`; if it fails on the way, this session is empty.
   */
  async forkFrom(source: InferenceSession, position = source.position, options: ForkOptions = {}): Promise<void> {
    this.#checkFork(source, position)
    this.#busy = true
    source.#readers++
    this.#position = 0
    try {
      if (position > 0) await this.#repairs.copy(source.#chain, position, options)
      this.#position = position
    } finally {
      // After a failure servers may or may not have copied, and an empty session may still have caches on servers: a
      // new epoch invalidates both.
      if (this.#position === 0) this.#runner.numbers.beginEpoch()
      source.#readers--
      this.#busy = false
    }
  }

  /**
   * Leaves the session's room on its servers to whoever needs it, until the next step or fork: a server that is lost
   * then is replaced, and replayed, by the next step. False where a server has never heard of this. Throws
   * `SESSION_BUSY`.
   */
  park(): boolean {
    this.#checkIdle()
    if (!this.#chain.links.every(({ remote }) => knows(remote.span.server.protocol, '3.2.0'))) return false
    this.#sendPark(this.#runner.numbers.last)
    return true
  }

  /** Takes the word of `park` back, for what is no step: while others fork from this session. */
  unpark(): void {
    this.#sendPark(0)
  }

  #sendPark(step: number): void {
    for (const { remote } of this.#chain.links) if (remote.lost === undefined) void remote.send({ kind: 'park', step })
  }

  /** Frees the caches. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#copies?.close()
    this.#runner.close(new PetalsError('SESSION_CLOSED', 'the session was closed'))
    this.emit('close')
    await this.#chain.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #checkOpen(): void {
    if (this.#closed) throw new PetalsError('SESSION_CLOSED', 'the session is closed')
  }

  #checkIdle(): void {
    if (this.#busy) throw new PetalsError('SESSION_BUSY', 'a step or fork of this session is still under way')
    if (this.#readers > 0) throw new PetalsError('SESSION_BUSY', 'the session is being forked')
  }

  #checkFork(source: InferenceSession, position: number): void {
    this.#checkOpen()
    source.#checkOpen()
    this.#checkIdle()
    if (source === this)
      throw new PetalsError('SESSION_FORK', 'a session cannot be forked from itself; set its position to cut it back')
    if (source.#busy) throw new PetalsError('SESSION_BUSY', 'a step of the session to be forked is still under way')
    checkFork(this, source, position)
  }

  #checkStep(hidden: Tensor, tokens: number): void {
    const { hiddenSize } = this.#options
    this.#checkOpen()
    this.#checkIdle()
    if (hidden.shape.length !== 2 || hidden.shape[1] !== hiddenSize || hidden.dtype !== 'float32' || tokens < 1) {
      throw new PetalsError(
        'TENSOR_SHAPE',
        `hidden states ${hidden.dtype} [${hidden.shape}]: expected float32 [tokens, ${hiddenSize}]`,
      )
    }
    if (!allFinite(hidden)) throw new PetalsError('TENSOR_NONFINITE', 'the hidden states hold NaN or infinite values')
    if (this.#position + tokens > this.maxLength) {
      throw new PetalsError(
        'SESSION_OVERFLOW',
        `${tokens} tokens at position ${this.#position} do not fit into a session of ` +
          `${this.maxLength} tokens; open it with a larger maxLength`,
      )
    }
  }

  async #tryStep(hidden: Tensor, rows: number, signal: AbortSignal | undefined): Promise<Activations> {
    if (this.#chain.links.length === 0) await this.#repairs.open(signal)
    const { numbers } = this.#runner
    const firstStep = numbers.last + 1
    const beganMs = performance.now()
    try {
      const output = await this.#runner.run({ position: this.#position, hidden, rows, signal })
      this.#chain.worked()
      return output
    } catch (error) {
      this.#checkOpen()
      if (!isTransient(error)) throw error
      // Servers keep what they have computed of a step before this one.
      const failedStep = error instanceof UnsoundStepError ? numbers.last + 1 : firstStep
      const goal = { settled: this.#position, target: this.#position + hidden.shape[0]!, failedStep, rows }
      return this.#repairs.recover({ goal, signal, because: error as Error, beganMs })
    }
  }

  #newRepairs(): Repairs {
    const { chain, numbers } = this.#runner
    const patience = {
      timeoutMs: this.#options.recoveryTimeoutMs,
      check: () => this.#checkOpen(),
      abandon: () => void this.close(),
      refresh: () => this.#swarm.refresh(),
      onWait: (error: Error, leftMs: number) => {
        const missingBlocks = error instanceof NoRouteError ? error.missingBlocks : []
        this.emit('waiting', { reason: error.message, missingBlocks, seconds: leftMs / 1000 })
      },
    }
    return new Repairs(
      {
        swarm: this.#swarm,
        chain,
        numbers,
        patience,
        onRoute: (hops) => this.emit('route', hops),
        onRecovery: (recovery) => this.emit('recovery', recovery),
      },
      this.#options,
    )
  }
}
