import type { SequenceId } from '../cache/kv-cache.ts'
import { BackgroundShare } from './background-share.ts'
import { ClientShares } from './client-shares.ts'
import { DecodeRhythm } from './decode-rhythm.ts'
import { RowLimit } from './row-limit.ts'
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
 * ready are one batch; then one prefill chunk, in turn; passes get the time that inference leaves, and a share of it
 * where it leaves none. Within each kind it is the turn of the client that has had the fewest tokens computed, and
 * within a client of its sequences, one after the other.
 */
export class Scheduler {
  readonly #limits: SchedulerLimits
  readonly #shares = new ClientShares()
  readonly #background = new BackgroundShare()
  readonly #rhythm = new DecodeRhythm()
  readonly #rowLimit = new RowLimit()
  readonly #tokenTime = new TokenTime()
  #decodedAt = -Infinity
  #decode: Waiting<CacheStep>[] = []
  #prefill: Waiting<CacheStep>[] = []
  #passes: Waiting<Pass>[] = []
  /** The step or pass of which a part is being computed. */
  #running: Waiting<CacheStep> | Waiting<Pass> | undefined
  /** After a decode batch a prefill chunk is next, where one waits. */
  #prefillIsNext = false

  constructor(limits: SchedulerLimits) {
    this.#limits = limits
  }

  /** `now`, here and below: milliseconds of any clock that never goes back. */
  add(work: Work, now: number): void {
    this.#shares.join(work.client)
    const waiting = { client: work.client, since: now, done: 0 }
    if (work.kind !== 'step') {
      if (this.#passes.length === 0) this.#background.begin(now)
      this.#passes.push({ ...waiting, work })
    } else if (isDecode(work)) {
      this.#rhythm.arrived(work.sequence, now)
      this.#rowLimit.noteActive(work.sequence, work.client, now)
      this.#decode.push({ ...waiting, work })
    } else {
      this.#prefill.push({ ...waiting, work })
    }
  }

  /** Forgets a task that is not wanted any more; returns it where it still waited. */
  cancel(taskId: number): number[] {
    return this.#drop(({ work }) => work.taskId === taskId)
  }

  /** Forgets whatever still waits for a sequence that is over; returns the tasks. */
  release(sequence: SequenceId): number[] {
    this.#rhythm.forget(sequence)
    this.#rowLimit.forget(sequence)
    return this.#drop(({ work }) => work.kind === 'step' && work.sequence === sequence)
  }

  /** What to compute now; it is out of the queues until `commit` or `fail`. */
  schedule(now: number): Decision {
    const inferenceWaits = this.#decode.length + this.#prefill.length > 0
    const delay = this.#passes.length > 0 ? this.#background.delay(inferenceWaits, now) : Infinity
    if (delay === 0) return this.#nextPass()
    if (this.#prefill.length > 0 && (this.#prefillIsNext || this.#decode.length === 0)) return this.#nextChunk()
    if (this.#decode.length === 0) {
      if (this.#passes.length === 0) this.#shares.reset()
      return { kind: 'wait', milliseconds: delay }
    }
    const patience = this.#prefill.length > 0 ? 0 : this.#companionsWait(now)
    return patience > 0 ? { kind: 'wait', milliseconds: Math.min(delay, patience) } : this.#nextDecode(now)
  }

  /** A device run has ended well. */
  commit({ works, tokens, finished, milliseconds }: Progress, now: number): void {
    for (const work of works) this.#shares.charge(work.client, tokens)
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

  /** A device run has failed: its tasks are over. */
  fail({ works, milliseconds }: Pick<Progress, 'works' | 'milliseconds'>, now: number): void {
    this.#ended(works, milliseconds, now)
  }

  #nextDecode(now: number): Batch {
    for (const { work } of this.#decode) this.#rowLimit.noteActive(work.sequence, work.client, now)
    const rows = Math.min(this.#limits.maxBatchRows, this.#rowLimit.rows(now))
    const steps = this.#shares.take(this.#decode, rows)
    const taken = new Set(steps)
    this.#decode = this.#decode.filter((waiting) => !taken.has(waiting))
    this.#prefillIsNext = true
    this.#running = undefined
    return { kind: 'decode', steps: steps.map(({ work }) => work) }
  }

  #nextChunk(): Batch {
    const next = this.#shares.next(this.#prefill)!
    this.#prefill = this.#prefill.filter((waiting) => waiting !== next)
    this.#prefillIsNext = false
    this.#running = next
    const tokens = Math.min(this.#limits.prefillChunkTokens, next.work.tokens - next.done)
    return { kind: 'prefill', step: next.work, first: next.done, tokens }
  }

  #nextPass(): Batch {
    const next = this.#shares.next(this.#passes)!
    this.#passes = this.#passes.filter((waiting) => waiting !== next)
    this.#running = next
    return { kind: 'pass', pass: next.work }
  }

  #companionsWait(now: number): number {
    if (this.#decode.length >= this.#limits.maxBatchRows) return 0
    const ready = new Set(this.#decode.map(({ work }) => work.sequence))
    const { since } = this.#decode[0]!
    // Rows that had to stay behind have waited for runs on purpose: those of others are waited for anew.
    const isBounded = this.#rowLimit.rows(now) < Infinity
    return this.#rhythm.wait(ready, isBounded ? Math.max(since, this.#decodedAt) : since, now)
  }

  #ended(works: readonly Work[], milliseconds: number, now: number): void {
    const [first] = works
    if (first === undefined) return
    if (first.kind !== 'step') return this.#background.pieceRan(milliseconds, now)
    this.#background.inferenceRan(now)
    const decoded = works.flatMap((work) => (isDecode(work) ? [work.sequence] : []))
    if (decoded.length === 0) return
    this.#decodedAt = now
    this.#rhythm.ran(decoded, milliseconds, now)
    this.#rowLimit.ran(decoded.length, milliseconds)
  }

  #drop(unwanted: (waiting: Waiting<Work>) => boolean): number[] {
    const dropped = [...this.#decode, ...this.#prefill, ...this.#passes].filter(unwanted)
    this.#decode = this.#decode.filter((waiting) => !unwanted(waiting))
    this.#prefill = this.#prefill.filter((waiting) => !unwanted(waiting))
    this.#passes = this.#passes.filter((waiting) => !unwanted(waiting))
    return dropped.map(({ work }) => work.taskId)
  }
}

function isDecode(work: Work): work is CacheStep {
  return work.kind === 'step' && work.tokens === 1 && !work.prompted
}
