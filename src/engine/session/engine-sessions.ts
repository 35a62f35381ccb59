/*
 * The room `session/`: sequences of callers, from opening to release. It runs in the caller's thread.
 */
import { PetalsError } from '../../base/errors.ts'
import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { ropeKey } from '../../families/parts/rope.ts'
import { convertInPieces } from '../../tensor/convert.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { type Tensor, tensor } from '../../tensor/tensor.ts'
import type { AdapterRanks } from '../adapters/adapter-memory.ts'
import type { Adapters } from '../adapters/adapters.ts'
import type { BlockRange, CacheAccounts, Place, ReserveOptions, SequenceId } from '../cache/kv-cache.ts'
import { checkHidden, checkPrompts, checkSessionLength, checkSpan } from './limits.ts'
import { promptsOfStep } from '../run/deep-prompts.ts'
import type { InlineDecode } from '../run/inline-decode.ts'
import type { EngineThread } from '../thread/engine-thread.ts'
import type { RunReport } from '../thread/messages.ts'
import { EngineSession } from './engine-session.ts'

/** Blocks `start` to `end` of the model, which must lie within the engine's span. */
export interface EngineSessionOptions extends ReserveOptions, BlockRange {
  readonly maxLength: number
  /** Name of the adapter that it goes through. */
  readonly adapter?: string | undefined
  /**
   * [end - start, positions, hidden]: what is added to each block's input at the first positions (deep prompt tuning).
   */
  readonly prompts?: Tensor | undefined
  /** Who it computes for: turns are fair between clients. */
  readonly client?: string | undefined
}

export interface EngineSessionsModules {
  readonly config: ModelConfig
  readonly dtype: FloatDType
  readonly span: BlockRange
  readonly accounts: CacheAccounts
  readonly adapters: Adapters
  readonly thread: EngineThread
  readonly inline: InlineDecode
  /** A step was computed in this thread. */
  readonly onRun: (report: RunReport) => void
  /** A session has taken or given back a part of the cache. */
  readonly onCache: () => void
}

/** A step whose session outgrows the cache waits so long for others to give some back. */
const GROW_TIMEOUT_MS = 10_000

/** An open session's sequence; blocks are counted within the span. */
interface Sequence extends BlockRange {
  readonly id: SequenceId
  readonly place: Place
  readonly adapter: AdapterRanks | undefined
  readonly ropeKey: string
  readonly prompts: Tensor | undefined
  readonly client: string
  readonly makeRoom: ReserveOptions['makeRoom']
  readonly released: AbortController
}

/** Opens sessions on a span's cache, and takes their steps to where they are computed. */
export class EngineSessions {
  readonly #modules: EngineSessionsModules
  readonly #sequences = new WeakMap<EngineSession, Sequence>()
  #nextId: SequenceId = 1

  constructor(modules: EngineSessionsModules) {
    this.#modules = modules
  }

  /**
   * Throws `CACHE_FULL`, `CACHE_TOO_SMALL`, `SPAN_NOT_HELD`, `SESSION_TOO_LONG`, `TENSOR_SHAPE`, `TENSOR_DTYPE`, or
   * as `Adapters.acquire`; nothing is held then.
   */
  async open({
    start,
    end,
    maxLength,
    adapter,
    prompts,
    client = '',
    ...wait
  }: EngineSessionOptions): Promise<EngineSession> {
    const { config, dtype, span, accounts, adapters, thread, onCache } = this.#modules
    checkSpan(span, { start, end })
    checkSessionLength(config, maxLength)
    if (prompts !== undefined) checkPrompts(prompts, end - start, config.hiddenSize)
    const converted = prompts && (await convertInPieces(prompts, dtype))
    // All that can be refused is refused before something is taken.
    const ofKind = ropeKey(config.ropes, maxLength)
    const use = adapter === undefined ? undefined : await adapters.acquire(adapter)
    const place = await accounts.reserve(maxLength, { ...wait, client }).catch((error: unknown) => {
      use?.release()
      throw error
    })
    const sequence: Sequence = {
      id: this.#nextId++,
      place,
      adapter: use?.range,
      ropeKey: ofKind,
      start: start - span.start,
      end: end - span.start,
      prompts: converted,
      client,
      makeRoom: wait.makeRoom,
      released: new AbortController(),
    }
    const giveBack = (): void => {
      accounts.release(place)
      use?.release()
      onCache()
    }
    try {
      thread.tell({ type: 'open', sequence: sequence.id, place, maxLength, adapter: use?.range })
    } catch (error) {
      giveBack()
      throw error
    }
    onCache()
    return this.#session(sequence, maxLength, giveBack)
  }

  #session(sequence: Sequence, maxLength: number, giveBack: () => void): EngineSession {
    const { accounts, thread } = this.#modules
    const session = new EngineSession({
      maxLength,
      step: (position, hidden) => this.#step(sequence, position, hidden),
      reaches: (position) => accounts.reaches(sequence.place, position),
      copyFrom: (source, tokens) => this.#fork(sequence, this.#sequences.get(source), tokens),
      release: () => {
        sequence.released.abort(new PetalsError('SESSION_CLOSED', 'the session is closed'))
        thread.release(sequence.id)
        giveBack()
      },
    })
    this.#sequences.set(session, sequence)
    return session
  }

  async #step(sequence: Sequence, position: number, hidden: Tensor): Promise<Tensor> {
    const { config, dtype, thread, inline } = this.#modules
    checkHidden(hidden, 2, { dtype, hiddenSize: config.hiddenSize })
    const [tokens = 0] = hidden.shape
    await this.#grow(sequence, position + tokens)
    // Released meanwhile, its place may be another's by now.
    sequence.released.signal.throwIfAborted()
    const { id, start, end, client } = sequence
    const prompts = promptsOfStep(sequence.prompts, position, tokens)
    const prompted = prompts !== undefined
    const step = { ...sequence, position }
    if (tokens === 1 && !prompted) {
      inline.noteStep(id)
      if (thread.isIdle && inline.suits(step)) return this.#stepInline(step, hidden)
    }
    const request = { kind: 'step', client, sequence: id, start, end, position, tokens, prompted } as const
    const { output } = thread.compute(request, { hidden: hidden.data, prompts })
    return tensor(hidden.dtype, hidden.shape, await output)
  }

  #stepInline(step: Sequence & { readonly position: number }, hidden: Tensor): Tensor {
    const { thread, inline, onRun } = this.#modules
    if (thread.failure !== undefined) throw thread.failure
    try {
      const { output, seconds } = inline.run(step, hidden.data)
      thread.tellLater({ type: 'advanced', sequence: step.id, position: step.position })
      onRun({ type: 'run', kind: 'decode', rows: 1, tokens: 1, seconds, waits: [0], results: [] })
      return tensor(hidden.dtype, hidden.shape, output)
    } catch (error) {
      if (error instanceof PetalsError) thread.emit('fault', error)
      throw error
    }
  }

  async #fork(sequence: Sequence, source: Sequence | undefined, tokens: number): Promise<void> {
    const { start, end, adapter, client } = sequence
    const isAlike =
      source?.start === start && source.end === end && source.ropeKey === sequence.ropeKey && source.adapter === adapter
    if (!isAlike) {
      throw new PetalsError(
        'SESSION_FORK',
        'caches can only be copied between sessions of the same blocks and adapter whose declared lengths give ' +
          'the same angles',
      )
    }
    await this.#grow(sequence, tokens)
    sequence.released.signal.throwIfAborted()
    await this.#modules.thread.fork({ client, sequence: sequence.id, from: source.id, start, end, tokens })
  }

  /** Takes what the sequence needs of the cache to hold `length` tokens. */
  #grow({ place, released, makeRoom }: Sequence, length: number): Promise<void> | undefined {
    return this.#modules.accounts.grow(place, length, { timeoutMs: GROW_TIMEOUT_MS, signal: released.signal, makeRoom })
  }
}
