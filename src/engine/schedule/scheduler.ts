import type { SequenceId } from '../cache/kv-cache.ts'
import { BackgroundShare } from './background-share.ts'
import { ClientShares } from './client-shares.ts'
import { DecodeQueue } from './decode-queue.ts'
import { PrefillTurn } from './prefill-turn.ts'
import { TokenTime } from './token-time.ts'
import type { Batch, CacheStep, Pass, Work } from './work.ts'

export interface SchedulerLimits {
  /** Most sequences in one decode batch. */
  readonly maxBatchRows: number
  /** Tokens of one prefill chunk: what a decode step may have to wait for. */
  readonly prefillChunkTokens: number
}

/**
 * What to do next: compute a batch, or wait for so many milliseconds, or until something comes where nothing is left.
 */
export type Decision = Batch | { readonly kind: 'wait'; readonly milliseconds: number }

/** What became of a batch, or of the part of it that one device run has carried. */
export interface Progress {
  readonly works: readonly Work[]
  /** Computed for each of them. */
  readonly tokens: number
  /** Whether they are done with it. */
  readonly finished: boolean
  readonly milliseconds: number
}

interface Waiting<T extends Work> {
  readonly work: T
  readonly client: string
  readonly since: number
  /** Tokens of a step that were computed. */
  done: number
}

/**
 * Decides what runs next, by sequences and tokens alone: it never sees a tensor or a device. All decode steps that are
 * ready are one batch; then one prefill chunk, or several short ones, in turn; passes get the time that inference
 * leaves, and a share of it where it leaves none. Within each kind it is the turn of the client that has had the fewest
 * tokens computed, and within a client of its sequences, one after the other.
 */
export class Scheduler {
  readonly #limits: SchedulerLimits
  readonly #shares = new ClientShares()
  readonly #background = new BackgroundShare()
  readonly #tokenTime = new TokenTime()
  readonly #decode: DecodeQueue
  readonly #prefillTurn: PrefillTurn
  #prefill: Waiting<CacheStep>[] = []
  #passes: Waiting<Pass>[] = []
  /** The step or pass of which a part is being computed. */
  #running: Waiting<CacheStep> | Waiting<Pass> | undefined
  /** Whether the batch that is being computed counts for nobody's turn. */
  #isSpare = false

  constructor(limits: SchedulerLimits) {
    this.#limits = limits
    this.#decode = new DecodeQueue(limits.maxBatchRows, this.#shares)
    this.#prefillTurn = new PrefillTurn(limits.prefillChunkTokens)
  }

  /**
   * `now`, here and below: milliseconds of any clock that never goes back; `arrivedAt`: when the work came, where that
   * was while a run held up the thread.
   */
  add(work: Work, now: number, arrivedAt = now): void {
    this.#shares.join(work.client)
    const waiting = { client: work.client, since: now, done: 0 }
    if (work.kind !== 'step') {
      if (this.#passes.length === 0) this.#background.begin(now)
      this.#passes.push({ ...waiting, work })
    } else if (isDecode(work)) {
      this.#decode.add(work, now, arrivedAt)
    } else {
      this.#prefill.push({ ...waiting, work })
    }
  }

  /** Forgets a task that is not wanted any more; returns it where it still waited. */
  cancel(taskId: number): number[] {
    return this.#drop((work) => work.taskId === taskId)
  }

  /** Forgets whatever still waits for a sequence that is over; returns the tasks. */
  release(sequence: SequenceId): number[] {
    this.#decode.forget(sequence)
    return this.#drop((work) => work.kind === 'step' && work.sequence === sequence)
  }

  /** What to compute now; it is out of the queues until `commit` or `fail`. */
  schedule(now: number): Decision {
    this.#isSpare = false
    const inferenceWaits = this.#decode.length + this.#prefill.length > 0
    const delay = this.#passes.length > 0 ? this.#background.delay(inferenceWaits, now) : Infinity
    if (delay === 0) return this.#nextPass()
    const prefill = this.#shares.next(this.#prefill)
    if (prefill !== undefined && (this.#decode.length === 0 || this.#goesFirst(prefill)))
      return this.#nextChunk(prefill)
    if (this.#decode.length === 0) {
      if (this.#passes.length === 0) this.#shares.reset()
      return { kind: 'wait', milliseconds: delay }
    }
    const next = this.#decode.next(now, this.#prefill.length === 0)
    if (typeof next === 'number') return { kind: 'wait', milliseconds: Math.min(delay, next) }
    this.#prefillTurn.begin()
    this.#running = undefined
    this.#isSpare = next.isSpare ?? false
    return next
  }

  /** A device run has ended well. */
  commit({ works, tokens, finished, milliseconds }: Progress, now: number): void {
    if (!this.#isSpare) for (const work of works) this.#shares.charge(work.client, tokens)
    this.#tokenTime.ran(tokens * works.length, milliseconds)
    this.#ended(works, milliseconds, now)
    if (finished || this.#running === undefined) return
    const { work, client, done } = this.#running
    // A pass that has begun holds memory: it goes on before others of its client.
    if (work.kind === 'step') this.#prefill.push({ work, client, since: now, done: done + tokens })
    else this.#passes.unshift({ work, client, since: now, done: done + tokens })
  }

  /** Caches were copied for a client: it pays as for the tokens that could have been computed in this time. */
  copied(client: string, milliseconds: number): void {
    this.#shares.charge(client, this.#tokenTime.tokensIn(milliseconds))
  }

  /** Decode steps of a batch that were not computed with it: they are chosen from again. */
  putBack(steps: readonly CacheStep[], now: number): void {
    this.#decode.putBack(steps, now)
  }

  /** A device run has failed: its tasks are over. */
  fail({ works, milliseconds }: Pick<Progress, 'works' | 'milliseconds'>, now: number): void {
    this.#ended(works, milliseconds, now)
  }

  /**
   * Whether a chunk goes before the decode steps that wait: one in each turn; more only of a client that has had no
   * more than those who wait, since each takes about as long as their step.
   */
  #goesFirst(prefill: Waiting<CacheStep>): boolean {
    if (!this.#prefillTurn.allows(this.#chunkOf(prefill))) return false
    return this.#prefillTurn.isFresh || !this.#decode.hasBehind(prefill.client)
  }

  #chunkOf({ work, done }: Waiting<CacheStep>): number {
    return Math.min(this.#limits.prefillChunkTokens, work.tokens - done)
  }

  #nextChunk(next: Waiting<CacheStep>): Batch {
    const tokens = this.#chunkOf(next)
    this.#prefill = this.#prefill.filter((waiting) => waiting !== next)
    this.#prefillTurn.ran(tokens)
    this.#running = next
    return { kind: 'prefill', step: next.work, first: next.done, tokens }
  }

  #nextPass(): Batch {
    const next = this.#shares.next(this.#passes)!
    this.#passes = this.#passes.filter((waiting) => waiting !== next)
    this.#running = next
    return { kind: 'pass', pass: next.work }
  }

  #ended(works: readonly Work[], milliseconds: number, now: number): void {
    const [first] = works
    if (first === undefined) return
    if (first.kind !== 'step') return this.#background.pieceRan(milliseconds, now)
    this.#background.inferenceRan(now)
    const decoded = works.filter((work) => isDecode(work))
    if (decoded.length > 0) this.#decode.ran(decoded, milliseconds, now)
  }

  #drop(isUnwanted: (work: Work) => boolean): number[] {
    const dropped = [...this.#prefill, ...this.#passes].map(({ work }) => work).filter(isUnwanted)
    this.#prefill = this.#prefill.filter(({ work }) => !isUnwanted(work))
    this.#passes = this.#passes.filter(({ work }) => !isUnwanted(work))
    return [...this.#decode.drop(isUnwanted), ...dropped.map(({ taskId }) => taskId)]
  }
}

function isDecode(work: Work): work is CacheStep {
  return work.kind === 'step' && work.tokens === 1 && !work.prompted
}
