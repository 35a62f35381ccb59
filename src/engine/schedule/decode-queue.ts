import type { SequenceId } from '../cache/kv-cache.ts'
import type { ClientShares } from './client-shares.ts'
import { DecodeRhythm } from './decode-rhythm.ts'
import { type Excess, RowLimit } from './row-limit.ts'
import { RunTime } from './run-time.ts'
import type { CacheStep, DecodeBatch } from './work.ts'

interface WaitingStep {
  readonly work: CacheStep
  readonly client: string
  readonly since: number
}

/**
 * Decode steps that are ready, and which of them are the next batch: all, but where one client has many more than any
 * other, so that its rows take turns with those of all others, and fill the time in which these come with nothing.
 */
export class DecodeQueue {
  readonly #maxRows: number
  readonly #shares: ClientShares
  readonly #runTime = new RunTime()
  readonly #rhythm: DecodeRhythm
  readonly #rowLimit = new RowLimit(this.#runTime)
  #waiting: WaitingStep[] = []

  constructor(maxRows: number, shares: ClientShares) {
    this.#maxRows = maxRows
    this.#shares = shares
    this.#rhythm = new DecodeRhythm(this.#runTime, maxRows)
  }

  get length(): number {
    return this.#waiting.length
  }

  /** Whether somebody waits who has had fewer tokens computed than this client. */
  hasBehind(client: string): boolean {
    return this.#waiting.some(({ client: other }) => other !== client && this.#shares.isBehind(other, [client]))
  }

  /** `arrivedAt`: when the step came, of which this thread may have learnt later. */
  add(work: CacheStep, now: number, arrivedAt: number): void {
    this.#rhythm.arrived(work.sequence, arrivedAt)
    this.#rowLimit.noteActive(work.sequence, work.client, now)
    this.#waiting.push({ work, client: work.client, since: now })
  }

  /** Steps of a batch that were not computed with it wait again, before all others. */
  putBack(steps: readonly CacheStep[], now: number): void {
    this.#waiting.unshift(...steps.map((work) => ({ work, client: work.client, since: now })))
  }

  /** The next batch of the steps that wait, or for how many milliseconds to wait for others, if that `isAllowed`. */
  next(now: number, isAllowed: boolean): DecodeBatch | number {
    for (const { work } of this.#waiting) this.#rowLimit.noteActive(work.sequence, work.client, now)
    const excess = this.#rowLimit.excess(now)
    const first = this.#waiting.find(({ client }) => client !== excess?.client)
    if (excess !== undefined && first === undefined) return this.#nextOfExcess(excess, now, isAllowed)
    const waitMs = isAllowed ? this.#companionsWait(first!.since, now, excess) : 0
    return waitMs > 0 ? waitMs : this.#take(excess?.rows ?? Infinity, excess)
  }

  /** A run of these has ended, after so long. */
  ran(steps: readonly CacheStep[], milliseconds: number, now: number): void {
    this.#runTime.ran(steps.length, milliseconds)
    this.#rhythm.ran(steps, now)
  }

  /** The sequence is over. */
  forget(sequence: SequenceId): void {
    this.#rhythm.forget(sequence)
    this.#rowLimit.forget(sequence)
  }

  /** Forgets steps; returns their tasks. */
  drop(isUnwanted: (work: CacheStep) => boolean): number[] {
    const [dropped, kept]: [WaitingStep[], WaitingStep[]] = [[], []]
    for (const waiting of this.#waiting) (isUnwanted(waiting.work) ? dropped : kept).push(waiting)
    this.#waiting = kept
    return dropped.map(({ work }) => work.taskId)
  }

  /**
   * Nothing else waits: its turn, or as much as will be done before the others' next steps come. A run cannot be
   * interrupted, so one that is begun before them takes longer than their own would have.
   */
  #nextOfExcess(excess: Excess, now: number, isAllowed: boolean): DecodeBatch | number {
    const { client, others, ownRows, runMs, rowMs } = excess
    const next = isAllowed ? this.#rhythm.nextOfOthers(client, now) : undefined
    if (next === undefined || this.#shares.isBehind(client, others)) return this.#takeOf(client, ownRows, false)
    const fitting = Math.floor((next.at - now - runMs) / rowMs)
    return fitting > 0 ? this.#takeOf(client, fitting, true) : next.until - now
  }

  #companionsWait(since: number, now: number, excess: Excess | undefined): number {
    if (this.#waiting.length >= this.#maxRows) return 0
    const ready = new Set(this.#waiting.map(({ work }) => work.sequence))
    return this.#rhythm.wait(ready, since, now, excess?.client)
  }

  #take(rows: number, excess: Excess | undefined): DecodeBatch {
    const steps = this.#remove(this.#shares.take(this.#waiting, Math.min(this.#maxRows, rows)))
    return { kind: 'decode', steps, ...(excess !== undefined && { deferrable: excess.client }) }
  }

  /** Of the one client that waits. */
  #takeOf(client: string, rows: number, isSpare: boolean): DecodeBatch {
    const steps = this.#remove(this.#waiting.slice(0, Math.min(this.#maxRows, rows)))
    return { kind: 'decode', steps, deferrable: client, isSpare }
  }

  #remove(steps: readonly WaitingStep[]): CacheStep[] {
    const taken = new Set(steps)
    this.#waiting = this.#waiting.filter((waiting) => !taken.has(waiting))
    return steps.map(({ work }) => work)
  }
}
