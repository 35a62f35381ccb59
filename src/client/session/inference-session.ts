import { EventEmitter } from 'node:events'
import { PetalsError, errorMessage, isTransient } from '../../base/errors.ts'
import { type Tensor, sliceRows, tensor } from '../../tensor/tensor.ts'
import type { Chain, ChainOptions, Link, SwarmAccess } from './chain.ts'
import { checkFork, forkAll } from './fork.ts'
import { InputLog, boundMemory } from './input-log.ts'
import { patiently } from './patience.ts'
import { type ReplayContext, fill, replay, resumeAll } from './replay.ts'
import { StepRunner } from './step-runner.ts'
import type { WatchdogOptions } from './watchdog.ts'

export interface InferenceSessionOptions extends ChainOptions {
  /** What the copies of spans' inputs may take; beyond it a replay recomputes from further up. */
  readonly replayMemoryBytes: number
  /** How long a session looks for a way to go on before a step fails. */
  readonly recoveryTimeoutMs: number
  readonly watchdog: WatchdogOptions
}

interface Losses {
  readonly lost: Set<string>
  replayedTokens: number
}

/** A longer prompt goes in several steps: servers bound their frames. */
const MAX_STEP_BYTES = 16 << 20

export interface Recovery {
  /** Servers given up, by peer id. */
  readonly lost: readonly string[]
  /** From the start of the step that failed, so with the time that it took to notice. */
  readonly seconds: number
  /** Tokens that new servers computed again. */
  readonly replayedTokens: number
  /** What made the step fail. */
  readonly reason: string
}

interface SessionEvents {
  /** A chain stands: first, and after each repair or move. */
  route: [readonly Link[]]
  recovery: [Recovery]
  /** A session that was made from this one; nothing has been opened for it yet. */
  fork: [InferenceSession]
}

/**
 * One sequence's KV caches on a chain of servers, as one session. Steps go from server to server; a server that dies,
 * freezes or fails is replaced and its span alone replayed, and the session goes on at the exact position.
 */
export class InferenceSession extends EventEmitter<SessionEvents> implements AsyncDisposable {
  /** Blocks of the model, as a slice. */
  readonly start: number
  readonly end: number
  readonly maxLength: number
  readonly #swarm: SwarmAccess
  readonly #options: InferenceSessionOptions
  readonly #runner: StepRunner
  readonly #chain: Chain
  readonly #root: InputLog
  #position = 0
  #step = 0
  #busy = false
  /** Sessions that are copying this one. */
  #readers = 0
  #closed = false

  constructor(swarm: SwarmAccess, options: InferenceSessionOptions) {
    super()
    this.start = options.start
    this.end = options.end
    this.maxLength = options.maxLength
    this.#swarm = swarm
    this.#options = options
    this.#root = new InputLog(options.hiddenSize, options.dtype)
    this.#runner = new StepRunner(swarm, options, this.#root)
    this.#chain = this.#runner.chain
  }

  /** Under this id the session is found in the logs of all nodes that it passes. */
  get trace(): string {
    return this.#chain.trace
  }

  /** Tokens in the caches. */
  get position(): number {
    return this.#position
  }

  /** Cuts the session back: the next step goes on at `position`. Throws `SESSION_POSITION` for one that lies ahead. */
  set position(position: number) {
    if (!Number.isInteger(position) || position < 0 || position > this.#position) {
      throw new PetalsError(
        'SESSION_POSITION',
        `position ${position}: the session holds ${this.#position} tokens and can only be cut back`,
      )
    }
    this.#checkIdle()
    if (position === this.#position) return
    // Copies of what is cut off may still be under way; a new epoch makes them stale.
    this.#runner.epoch++
    this.#position = position
    for (const { inputs } of this.#chain.links) inputs.truncate(position)
  }

  /**
   * Sends `hidden` [tokens, hidden] (embeddings) through all blocks; returns the last block's output, same shape.
   * Throws `SESSION_OVERFLOW`, `NO_ROUTE` where no way was found in time, or what a server refused the request with.
   */
  async step(hidden: Tensor): Promise<Tensor> {
    const tokens = hidden.shape[0] ?? 0
    this.#checkStep(hidden, tokens)
    const before = this.#position
    this.#busy = true
    try {
      return await this.#stepInPieces(hidden, tokens)
    } catch (error) {
      // Servers may have done it or not: the next step, with other tokens perhaps, must not take it for done.
      this.#runner.epoch++
      this.#position = before
      throw error
    } finally {
      this.#busy = false
    }
  }

  async #stepInPieces(hidden: Tensor, tokens: number): Promise<Tensor> {
    const rowBytes = hidden.data.byteLength / tokens
    const piece = Math.max(1, Math.floor(MAX_STEP_BYTES / rowBytes))
    if (tokens <= piece) return this.#stepPiece(hidden)
    const output = new Uint8Array(hidden.data.byteLength)
    for (let done = 0; done < tokens; done += piece) {
      const made = await this.#stepPiece(sliceRows(hidden, done, Math.min(tokens, done + piece)))
      output.set(made.data, done * rowBytes)
    }
    return tensor(hidden.dtype, hidden.shape, output)
  }

  async #stepPiece(hidden: Tensor): Promise<Tensor> {
    for (const { inputs } of this.#chain.links) inputs.truncate(this.#position)
    this.#root.truncate(this.#position)
    this.#root.write(this.#position, hidden)
    const output = await this.#tryStep(hidden, hidden.shape[0]!)
    this.#position += hidden.shape[0]!
    boundMemory(
      this.#chain.links.slice(1).map(({ inputs }) => inputs),
      this.#options.replayMemoryBytes,
    )
    return output
  }

  /**
   * A new session that holds the first `position` tokens of this one, on the same servers as far as these have room.
   * Throws like `forkFrom`.
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
   * Holds the first `position` tokens of `source`, a session over the same blocks, in place of its own. Servers that
   * hold both copy their caches; what runs elsewhere moves there, or is replayed where there is no room. Several
   * sessions may be made from one at a time; neither can be stepped meanwhile. Where it throws, this session is empty:
   * `SESSION_POSITION`, `SESSION_OVERFLOW`, `SESSION_BUSY`, `SESSION_FORK` for other blocks, or like `step`.
   */
  async forkFrom(source: InferenceSession, position = source.position): Promise<void> {
    this.#checkFork(source, position)
    this.#busy = true
    source.#readers++
    this.#position = 0
    try {
      if (position > 0) await this.#copyFrom(source, position)
      this.#position = position
    } finally {
      // Where it failed, servers may have done it or not; where it is empty now, they may not know yet.
      if (this.#position === 0) this.#runner.epoch++
      source.#readers--
      this.#busy = false
    }
  }

  async #copyFrom(source: InferenceSession, position: number): Promise<void> {
    const began = performance.now()
    const losses: Losses = { lost: new Set(), replayedTokens: 0 }
    await this.#patiently(async () => {
      await this.#chain.follow(source.#chain)
      const context = await this.#beginRepair(losses, { settled: position, target: position, failedStep: 0 })
      const held = await forkAll(context, source.#chain)
      if (!this.#chain.connected) await this.#connect()
      await fill(context, held)
    })
    if (losses.lost.size > 0) this.#reportRecovery(losses, began, 'a server was lost before a fork')
  }

  /** Gives the caches back. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#runner.close(new PetalsError('SESSION_CLOSED', 'the session was closed'))
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
    if (this.#position + tokens > this.maxLength) {
      throw new PetalsError(
        'SESSION_OVERFLOW',
        `${tokens} tokens at position ${this.#position} do not fit into a session of ` +
          `${this.maxLength} tokens; open it with a larger maxLength`,
      )
    }
  }

  async #tryStep(hidden: Tensor, tokens: number): Promise<Tensor> {
    if (this.#chain.links.length === 0) {
      await this.#patiently(async () => {
        this.#runner.epoch++
        await this.#chain.complete()
        await this.#connect()
      })
    }
    const step = ++this.#step
    const began = performance.now()
    try {
      const output = await this.#runner.run(step, this.#position, hidden)
      this.#chain.worked()
      return output
    } catch (error) {
      if (this.#closed) throw new PetalsError('SESSION_CLOSED', 'the session was closed')
      if (!isTransient(error)) throw error
      const losses: Losses = { lost: new Set(), replayedTokens: 0 }
      const output = await this.#recover(step, tokens, losses)
      this.#reportRecovery(losses, began, errorMessage(error))
      return output
    }
  }

  /** Mends the chain, replays what a new server lacks, and gives the output of the step that failed. */
  #recover(failedStep: number, tokens: number, losses: Losses): Promise<Tensor> {
    const positions = { settled: this.#position, target: this.#position + tokens, failedStep }
    return this.#patiently(async () => {
      const context = await this.#beginRepair(losses, positions)
      const held = await resumeAll(context)
      await this.#connect()
      return replay(context, held)
    })
  }

  /** The chain with its lost links replaced, in a new epoch. */
  async #beginRepair(
    losses: Losses,
    positions: Pick<ReplayContext, 'settled' | 'target' | 'failedStep'>,
  ): Promise<ReplayContext> {
    await this.#chain.complete(({ peerId }) => {
      losses.lost.add(peerId)
      this.#swarm.avoid(peerId)
    })
    losses.replayedTokens = 0
    return {
      chain: this.#chain,
      epoch: ++this.#runner.epoch,
      ...positions,
      nextStep: () => ++this.#step,
      watchdog: this.#options.watchdog,
      onReplay: (count) => {
        losses.replayedTokens += count
      },
    }
  }

  async #connect(): Promise<void> {
    await this.#chain.connect()
    this.emit('route', this.#chain.links)
  }

  #reportRecovery({ lost, replayedTokens }: Losses, began: number, reason: string): void {
    const recovery = { lost: [...lost], replayedTokens, seconds: (performance.now() - began) / 1000 }
    this.#swarm.logger?.info({ trace: this.#chain.trace, ...recovery }, 'session repaired')
    this.emit('recovery', { ...recovery, reason })
  }

  #patiently<T>(attempt: () => Promise<T>): Promise<T> {
    return patiently(attempt, {
      timeoutMs: this.#options.recoveryTimeoutMs,
      check: () => {
        if (this.#closed) throw new PetalsError('SESSION_CLOSED', 'the session was closed')
      },
      refresh: () => this.#swarm.refresh(),
    })
  }
}
