import { AsyncLocalStorage } from 'node:async_hooks'
import { PetalsError, UsageError } from '../../base/errors.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { checkPrompts } from '../../engine/session/limits.ts'
import { convert } from '../../tensor/convert.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { PassGradients } from '../pass/gradients.ts'
import type { PassAccess } from '../pass/pass-access.ts'
import type { PassOptions } from '../pass/pass-plan.ts'
import { type RemotePass, backwardPass, forwardPass, recordedPass } from '../pass/remote-pass.ts'
import { type ActiveAdapter, requestAdapter } from '../remote/adapters/active-adapter.ts'
import { type WireChoice, checkWireChoice } from '../remote/routes/wire-dtype.ts'
import type { SwarmAccess } from '../remote/swarm-access.ts'
import type { InferenceSession } from '../session/inference-session.ts'
import { type ReplayCopies, type SessionOptions, createInferenceSession } from '../session/open.ts'

/** Which blocks, and what is done with their sessions. */
export interface RemoteSequentialOptions {
  /** Blocks `start` to `end`, `end` not included; by default all blocks of the model. */
  readonly start?: number
  readonly end?: number
  /** The adapter of sessions and requests that name no other. */
  readonly activeAdapter?: ActiveAdapter | undefined
  /** The most time for one step or pass, unless a session says otherwise; in milliseconds. */
  readonly stepTimeoutMs?: number | undefined
  /** Whether sessions pull copies for repairs, unless a session says otherwise. */
  readonly replayCopies?: ReplayCopies | undefined
  /** The form in which activations travel, unless a session says otherwise. */
  readonly wireDType?: WireChoice | undefined
  /** How long a session, unless it says otherwise, and a pass wait for servers; in milliseconds. */
  readonly recoveryTimeoutMs?: number | undefined
  /** Called with each session that this object, or a slice of it, makes. */
  readonly onSession?: ((session: InferenceSession) => void) | undefined
}

/** How one pass over whole sequences is computed. */
export interface ForwardOptions {
  /** The adapter to use, as in `SessionOptions`. */
  readonly activeAdapter?: ActiveAdapter | undefined
  /** Blocks, numbered in the whole model, at which the chain of servers must be cut; otherwise the router decides. */
  readonly cuts?: readonly number[] | undefined
  /** Deep prompts, float32 [blocks, positions, hidden]: added to each block's input at the first positions. */
  readonly prompts?: Tensor | undefined
  /** Ends the pass, on all servers. */
  readonly signal?: AbortSignal | undefined
}

/** Blocks `start` to `end` of a model, computed by the servers that hold them. Iterating yields one block at a time. */
export class RemoteSequential implements Iterable<RemoteSequential> {
  /** The first block and the one after the last, numbered in the whole model. */
  readonly start: number
  readonly end: number
  readonly config: ModelConfig
  readonly #swarm: SwarmAccess & PassAccess
  /** What sessions and passes are given that say nothing else. */
  readonly #defaults: Omit<RemoteSequentialOptions, 'start' | 'end' | 'onSession'>
  readonly #onSession: RemoteSequentialOptions['onSession']
  /** The session that `forward` steps, for code that runs within `useSession`. */
  readonly #active = new AsyncLocalStorage<InferenceSession>()

  /** Throws `USAGE` for an unknown `wireDType`. */
  constructor(
    swarm: SwarmAccess & PassAccess,
    config: ModelConfig,
    { start = 0, end = config.numBlocks, onSession, ...defaults }: RemoteSequentialOptions = {},
  ) {
    checkWireChoice(defaults.wireDType ?? 'auto')
    this.config = config
    this.start = start
    this.end = end
    this.#swarm = swarm
    this.#onSession = onSession
    this.#defaults = defaults
  }

  get length(): number {
    return this.end - this.start
  }

  /**
   * Some of these blocks, numbered from 0 within this object; negative numbers count from the end. Throws `USAGE` if no
   * block is left.
   */
  slice(from = 0, until: number = this.length): RemoteSequential {
    const [first, last] = [this.#clamped(from), this.#clamped(until)]
    if (first >= last) throw new UsageError(`blocks ${from}:${until} of ${this.length}: no block lies between the two`)
    return new RemoteSequential(this.#swarm, this.config, {
      ...this.#defaults,
      start: this.start + first,
      end: this.start + last,
      onSession: this.#onSession,
    })
  }

  /** One block; -1 is the last. Throws `USAGE` if there is no such block. */
  at(index: number): RemoteSequential {
    const block = index < 0 ? index + this.length : index
    if (Number.isInteger(block) && block >= 0 && block < this.length) return this.slice(block, block + 1)
    throw new UsageError(`block ${index}: there are ${this.length}`)
  }

  *[Symbol.iterator](): Iterator<RemoteSequential> {
    for (let block = 0; block < this.length; block++) yield this.slice(block, block + 1)
  }

  /**
   * Computes the blocks on whole sequences: `hidden` [batch, tokens, hidden] -> same shape and dtype. A large batch
   * goes in pieces, over several servers where they hold the blocks; a server that fails is replaced. Within
   * `useSession` it is a step of that session instead, with batch 1. Throws `TENSOR_SHAPE`, `TENSOR_NONFINITE`,
   * `NO_ROUTE`, the error of the last server that was tried, or the signal's reason.
   */
  async forward(hidden: Tensor, options: ForwardOptions = {}): Promise<Tensor> {
    const session = this.#active.getStore()
    this.#checkHidden(hidden, session === undefined ? undefined : 1)
    if (session === undefined) return await forwardPass(this.#swarm, hidden, this.#passOptions(options))
    if (options.prompts !== undefined) this.#checkPrompts(options.prompts)
    const output = await session.step({ ...convert(hidden, 'float32'), shape: hidden.shape.slice(1) })
    return convert({ ...output, shape: hidden.shape }, hidden.dtype)
  }

  /**
   * As `forward` without a session, and keeps what its gradients need: `pass.backward(gradient)` gives those with
   * respect to `hidden`, to deep prompts and to an adapter that is trained (`AdapterVersions`). Release it, or declare
   * it with `using`; until then `hidden` and `prompts` must not change. Throws as `forward`.
   */
  async pass(hidden: Tensor, options: ForwardOptions = {}): Promise<RemotePass> {
    this.#checkHidden(hidden)
    return await recordedPass(this.#swarm, hidden, this.#passOptions(options))
  }

  /**
   * Forward and backward at once, for a caller that has kept only the input: `hidden` and `gradient`, that of a loss
   * with respect to the blocks' output, both [batch, tokens, hidden]. Throws as `forward`.
   */
  async backward(hidden: Tensor, gradient: Tensor, options: ForwardOptions = {}): Promise<PassGradients> {
    this.#checkHidden(hidden)
    return await backwardPass(this.#swarm, hidden, gradient, this.#passOptions(options))
  }

  /** A session over these blocks for one sequence. Servers open it at its first step. Throws `SESSION_TOO_LONG`. */
  inferenceSession(options: SessionOptions): InferenceSession {
    const session = createInferenceSession(this.#swarm, this.config, this, { ...this.#defaults, ...options })
    this.#onSession?.(session)
    return session
  }

  /**
   * Runs `work` with a session: a given one, or a new one that is closed afterwards. Meanwhile `forward` of this very
   * object steps the session. Returns what `work` returns. Throws `SESSION_TOO_LONG`, and what `work` throws.
   */
  async useSession<T>(
    session: InferenceSession | SessionOptions,
    work: (session: InferenceSession) => Promise<T> | T,
  ): Promise<T> {
    if ('step' in session) {
      if (session.start !== this.start || session.end !== this.end) {
        throw new UsageError(
          `a session over blocks ${session.start}:${session.end} cannot be used for blocks ${this.start}:${this.end}`,
        )
      }
      return this.#active.run(session, work, session)
    }
    await using opened = this.inferenceSession(session)
    return await this.#active.run(opened, work, opened)
  }

  #passOptions({ cuts, prompts, activeAdapter = this.#defaults.activeAdapter, signal }: ForwardOptions): PassOptions {
    const { stepTimeoutMs: timeoutMs, recoveryTimeoutMs, wireDType } = this.#defaults
    if (prompts !== undefined) this.#checkPrompts(prompts)
    return {
      start: this.start,
      end: this.end,
      cuts,
      prompts,
      adapter: activeAdapter === undefined ? undefined : requestAdapter(activeAdapter, this.config),
      timeoutMs,
      recoveryTimeoutMs,
      wireDType,
      signal,
    }
  }

  #checkHidden(hidden: Tensor, maxBatch = Infinity): void {
    // Programs in JavaScript have nobody else to tell them.
    const shape = (hidden as Partial<Tensor> | undefined)?.shape ?? []
    const [batch = 0, tokens = 0, width = 0] = shape
    const isRight = shape.length === 3 && batch >= 1 && batch <= maxBatch && tokens >= 1
    if (isRight && width === this.config.hiddenSize) return
    const wanted = maxBatch === 1 ? '1 (a session is one sequence)' : 'batch'
    throw new PetalsError(
      'TENSOR_SHAPE',
      `hidden states [${shape}]: expected [${wanted}, tokens, ${this.config.hiddenSize}]`,
    )
  }

  #checkPrompts(prompts: Tensor): void {
    checkPrompts(prompts, this.length, this.config.hiddenSize)
  }

  #clamped(index: number): number {
    if (!Number.isInteger(index)) throw new UsageError(`block ${index}: expected an integer`)
    return Math.min(this.length, Math.max(0, index < 0 ? index + this.length : index))
  }
}
