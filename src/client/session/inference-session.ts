import { EventEmitter } from 'node:events'
import { allOf } from '../../base/all-of.ts'
import { PetalsError, UsageError, errorMessage, isTransient } from '../../base/errors.ts'
import { allFinite } from '../../tensor/finite.ts'
import type { Activations } from '../../tensor/activations.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import { decodeActivations } from '../../tensor/travel.ts'
import type { Chain, ChainOptions, Link, SwarmAccess } from './chain.ts'
import { checkFork, forkAll } from './fork.ts'
import { CopyPuller } from './copy-puller.ts'
import type { SessionEvents } from './reports.ts'
import type { ForkOptions, StepOptions } from './step-options.ts'
import { routeHops } from './route-hop.ts'
import { RootInputs } from './root-inputs.ts'
import { traceSession } from './session-span.ts'
import { patiently } from './patience.ts'
import { type ReplayContext, fill, replay, resumeAll } from './replay.ts'
import { StepAbortedError, StepRunner, UnsoundStepError } from './step-runner.ts'
import { NoRouteError } from '../remote/routing.ts'
import { allowedStepMs } from '../remote/step-time.ts'
import { knows } from '../../swarm/protocol-version.ts'

export type { Recovery, Waiting } from './reports.ts'

/** How a session is opened and repaired. */
export interface InferenceSessionOptions extends ChainOptions {
  /** Whether copies of spans' inputs are pulled; without them repairs rely on what servers keep, or compute again. */
  readonly pullsCopies: boolean
  /** How long a session tries to go on before a step fails. */
  readonly recoveryTimeoutMs: number
}

/** What a repair has cost so far. */
interface Losses {
  readonly lost: Set<string>
  replayedTokens: number
}

/** A step to be done again by a repaired chain. */
interface FailedStep {
  readonly failedStep: number
  readonly tokens: number
  readonly rows: number
  readonly signal: AbortSignal | undefined
  /** Why it failed. */
  readonly because: Error
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
  readonly #root = new RootInputs()
  readonly #copies: CopyPuller | undefined
  #position = 0
  #step = 0
  #busy = false
  /** Number of sessions that are being forked from this one. */
  #readers = 0
  #replayedTokens = 0
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
    if (options.pullsCopies)
      this.#copies = new CopyPuller({
        chain: this.#chain,
        epoch: () => this.#runner.epoch,
        position: () => this.#position,
      })
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
    return this.#replayedTokens
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
    this.#runner.epoch++
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
      this.#runner.epoch++
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
    const output = await decodeActivations(await this.#tryStep(hidden, rows, signal), 'float32')
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
      if (position > 0) await this.#copyFrom(source, position, options)
      this.#position = position
    } finally {
      // After a failure servers may or may not have copied, and an empty session may still have caches on servers: a
      // new epoch invalidates both.
      if (this.#position === 0) this.#runner.epoch++
      source.#readers--
      this.#busy = false
    }
  }

  async #copyFrom(source: InferenceSession, position: number, { onlyCopies = false }: ForkOptions): Promise<void> {
    const began = performance.now()
    const losses: Losses = { lost: new Set(), replayedTokens: 0 }
    const attempt = async (): Promise<void> => {
      await this.#chain.follow(source.#chain, { nowhereElse: onlyCopies })
      if (!onlyCopies) await this.#replaceLost(losses)
      const context = this.#newContext(losses, { settled: position, target: position, failedStep: 0, rows: 0 })
      const held = await forkAll(context, source.#chain)
      if (onlyCopies && held.some((tokens) => tokens < position))
        throw new PetalsError('SESSION_FORK', `a server could not copy the first ${position} tokens`)
      if (!this.#chain.connected) await this.#connect()
      await fill(context, held)
    }
    await (onlyCopies
      ? attempt()
      : this.#patiently(attempt, new PetalsError('SESSION_LOST', 'the session is being copied')))
    if (losses.lost.size > 0) this.#reportRecovery(losses, began, 'a server was lost before a fork')
  }

  /**
   * Leaves the session's room on its servers to whoever needs it, until the next step or fork: a server that is lost
   * then is replaced, and replayed, by the next step. False where a server has never heard of this. Throws
   * `SESSION_BUSY`.
   */
  park(): boolean {
    this.#checkIdle()
    if (!this.#chain.links.every(({ remote }) => knows(remote.span.server.protocol, '3.2.0'))) return false
    this.#sendPark(this.#step)
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

  #checkIdle(): void {
    if (this.#busy) throw new PetalsError('SESSION_BUSY', 'a step or fork of this session is still under way')
    if (this.#readers > 0) throw new PetalsError('SESSION_BUSY', 'the session is being forked')
  }

  #checkFork(source: InferenceSession, position: number): void {
    if (this.#closed || source.#closed) throw new PetalsError('SESSION_CLOSED', 'the session is closed')
    this.#checkIdle()
    if (source === this)
      throw new PetalsError('SESSION_FORK', 'a session cannot be forked from itself; set its position to cut it back')
    if (source.#busy) throw new PetalsError('SESSION_BUSY', 'a step of the session to be forked is still under way')
    checkFork(this, source, position)
  }

  #checkStep(hidden: Tensor, tokens: number): void {
    const { hiddenSize, dtype } = this.#options
    if (this.#closed) throw new PetalsError('SESSION_CLOSED', 'the session is closed')
    this.#checkIdle()
    if (hidden.shape.length !== 2 || hidden.shape[1] !== hiddenSize || hidden.dtype !== dtype || tokens < 1) {
      throw new PetalsError(
        'TENSOR_SHAPE',
        `hidden states ${hidden.dtype} [${hidden.shape}]: expected ${dtype} [tokens, ${hiddenSize}]`,
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
    if (this.#chain.links.length === 0) {
      await this.#patiently(
        async () => {
          this.#runner.epoch++
          await this.#chain.complete()
          await this.#connect()
        },
        new PetalsError('SWARM_TIMEOUT', 'no server has answered yet'),
        signal,
      )
    }
    const failedStep = this.#step + 1
    const began = performance.now()
    try {
      const output = await this.#runner.run({
        position: this.#position,
        hidden,
        rows,
        nextStep: () => ++this.#step,
        signal,
      })
      this.#chain.worked()
      return output
    } catch (error) {
      if (this.#closed) throw new PetalsError('SESSION_CLOSED', 'the session was closed')
      if (!isTransient(error)) throw error
      const losses: Losses = { lost: new Set(), replayedTokens: 0 }
      // Servers keep what they have computed of a step before this one.
      const keptBefore = error instanceof UnsoundStepError ? this.#step + 1 : failedStep
      const output = await this.#recover(
        { failedStep: keptBefore, tokens: hidden.shape[0]!, rows, signal, because: error as Error },
        losses,
      )
      this.#reportRecovery(losses, began, errorMessage(error))
      return output
    }
  }

  /** Repairs the chain, replays what new servers lack, and returns the output of the failed step. */
  #recover({ failedStep, tokens, rows, signal, because }: FailedStep, losses: Losses): Promise<Activations> {
    const positions = { settled: this.#position, target: this.#position + tokens, failedStep, rows }
    return this.#patiently(
      async () => {
        // What does not wait for each other goes at the same time: every round trip is one that a text stands still.
        const context = this.#newContext(losses, positions)
        const [held] = await allOf(resumeAll(context), this.#replaceLost(losses))
        // A server that is new holds nothing.
        const output = replay(
          context,
          this.#chain.links.map(({ remote }) => held.get(remote) ?? 0),
        )
        await allOf(output, this.#connect())
        return output
      },
      because,
      signal,
    )
  }

  async #replaceLost(losses: Losses): Promise<void> {
    await this.#chain.complete(({ peerId, lost }) => {
      losses.lost.add(peerId)
      this.#swarm.avoid(peerId, lost!)
    })
  }

  /** Begins a new epoch, in which servers may be replaced and replayed to. */
  #newContext(
    losses: Losses,
    positions: Pick<ReplayContext, 'settled' | 'target' | 'failedStep' | 'rows'>,
  ): ReplayContext {
    losses.replayedTokens = 0
    return {
      chain: this.#chain,
      epoch: ++this.#runner.epoch,
      ...positions,
      keepsCopies: this.#options.pullsCopies,
      nextStep: () => ++this.#step,
      watchdog: this.#options.watchdog,
      allowedMs: ({ span }, size) => allowedStepMs([span], size, this.#swarm.links, this.#options.watchdog),
      onReplay: (count) => {
        losses.replayedTokens += count
        this.#replayedTokens += count
      },
    }
  }

  async #connect(): Promise<void> {
    await this.#chain.connect()
    this.emit('route', routeHops(this.#chain.links))
  }

  #reportRecovery({ lost, replayedTokens }: Losses, began: number, reason: string): void {
    const changes = this.#chain.takeArithmeticChanges()
    const seconds = (performance.now() - began) / 1000
    const recovery = { lost: [...lost], replayedTokens, seconds, arithmeticChanged: changes.length > 0 }
    for (const [block, before, now] of changes)
      this.#swarm.logger?.warn(
        { trace: this.#chain.trace, block },
        `computed as ${now} from now on, so far as ${before}`,
      )
    this.#swarm.logger?.info({ trace: this.#chain.trace, ...recovery }, 'session repaired')
    this.emit('recovery', { ...recovery, reason })
  }

  #patiently<T>(attempt: () => Promise<T>, because: Error, signal?: AbortSignal): Promise<T> {
    return patiently(attempt, {
      timeoutMs: this.#options.recoveryTimeoutMs,
      check: () => {
        if (this.#closed) throw new PetalsError('SESSION_CLOSED', 'the session was closed')
      },
      signal,
      abandon: () => void this.close(),
      because,
      refresh: () => this.#swarm.refresh(),
      onWait: (error, leftMs) => {
        const missingBlocks = error instanceof NoRouteError ? error.missingBlocks : []
        this.emit('waiting', { reason: error.message, missingBlocks, seconds: leftMs / 1000 })
      },
    })
  }
}
