import { errorCode, errorMessage } from '../../base/errors.ts'
import type { KvCache, SequenceId } from '../cache/kv-cache.ts'
import type { BatchRunner, DeviceRun } from '../run/batch-runner.ts'
import type { Scheduler } from '../schedule/scheduler.ts'
import type { Batch, Work } from '../schedule/work.ts'
import type {
  AdvancedCommand,
  ComputeCommand,
  EngineCommand,
  EngineEvent,
  ForkCommand,
  OpenCommand,
  RunReport,
  TaskResult,
} from './messages.ts'

export interface EngineLoopModules {
  readonly scheduler: Scheduler
  readonly runner: BatchRunner
  readonly cache: KvCache
  readonly report: (event: EngineEvent) => void
  /** Milliseconds of a clock that never goes back, and that commands are dated by. */
  readonly now: () => number
}

interface Fault {
  readonly code: string
  readonly message: string
}

/**
 * What the engine thread does over and over: takes commands, lets the scheduler choose, runs the device, reports. An
 * error costs its own sequence or its own task: an exception that got out of here would end the thread, and with it
 * everybody's sessions.
 */
export class EngineLoop {
  readonly #modules: EngineLoopModules
  /** Open sequences that cannot be computed any more, and why: whatever they ask for from then on fails. */
  readonly #broken = new Map<SequenceId, Fault>()
  /** When tasks that have not been begun were asked for. */
  readonly #askedAt = new Map<number, number>()

  constructor(modules: EngineLoopModules) {
    this.#modules = modules
  }

  /** Returns false for the last command. */
  handle(command: EngineCommand): boolean {
    switch (command.type) {
      case 'open':
        this.#open(command)
        return true
      case 'release':
        this.#release(command.sequence)
        return true
      case 'compute':
        this.#compute(command)
        return true
      case 'train':
        this.#guard(() => this.#modules.runner.train(command.training))
        return true
      case 'fork':
        this.#fork(command)
        return true
      case 'advanced':
        this.#advanced(command)
        return true
      case 'cancel':
        this.#guard(() => this.#drop(this.#modules.scheduler.cancel(command.taskId)))
        return true
      case 'close':
        return false
    }
  }

  /** Computes what is next; returns for how many milliseconds nothing is to be done unless a command comes. */
  turn(): number {
    const { scheduler, now } = this.#modules
    const decision = scheduler.schedule(now())
    if (decision.kind === 'wait') return decision.milliseconds
    for (const run of this.#runsOf(decision)) this.#modules.report(this.#execute(decision.kind, run))
    return 0
  }

  /** The runs that are executed now; steps of those that can be put off wait again. */
  #runsOf(batch: Batch): readonly DeviceRun[] {
    const runs = this.#prepare(batch)
    if (batch.kind !== 'decode' || batch.deferrable === undefined || runs.length === 1) return runs
    const { deferrable, steps } = batch
    const urgent = runs.filter(({ works }) => works.some(({ client }) => client !== deferrable))
    const chosen = urgent.length > 0 ? urgent : runs.filter(({ works }) => works.includes(steps[0]!))
    const carried = new Set(chosen.flatMap(({ works }) => works))
    const { scheduler, now } = this.#modules
    scheduler.putBack(
      steps.filter((step) => !carried.has(step)),
      now(),
    )
    return chosen
  }

  #open({ sequence, place, maxLength, adapter }: OpenCommand): void {
    const { cache, runner } = this.#modules
    this.#orBreak(sequence, () => {
      cache.reserve(sequence, place)
      runner.open(sequence, { maxLength, adapter })
    })
  }

  /** Each part also where another one fails: what a sequence held must not stay behind. */
  #release(sequence: SequenceId): void {
    const { scheduler, runner, cache } = this.#modules
    const isBroken = this.#broken.delete(sequence)
    this.#guard(() => this.#drop(scheduler.release(sequence)))
    for (const giveBack of [() => runner.close(sequence), () => cache.release(sequence)]) {
      // A sequence that was never quite open has not all of it to give back.
      const error = attempt(giveBack)
      if (error !== undefined && !isBroken) this.#report(error)
    }
  }

  #drop(taskIds: readonly number[]): void {
    if (taskIds.length === 0) return
    for (const taskId of taskIds) {
      this.#askedAt.delete(taskId)
      this.#guard(() => this.#modules.runner.drop(taskId))
    }
    this.#modules.report({ type: 'dropped', taskIds })
  }

  #compute({ work, input, sentAt }: ComputeCommand): void {
    const { runner, scheduler, now } = this.#modules
    const fault =
      (work.kind === 'step' ? this.#broken.get(work.sequence) : undefined) ?? attempt(() => runner.accept(work, input))
    if (fault === undefined) {
      this.#askedAt.set(work.taskId, sentAt)
      scheduler.add(work, now(), sentAt)
    } else this.#modules.report({ type: 'fault', taskId: work.taskId, ...fault })
  }

  /** The runs of a batch; where none can be made of it, all that it holds has failed. */
  #prepare(batch: Batch): readonly DeviceRun[] {
    try {
      return this.#modules.runner.prepare(batch)
    } catch (error) {
      const execute = (): never => {
        throw error
      }
      return worksOf(batch).map((work) => ({ works: [work], execute }))
    }
  }

  /** Does what a sequence needs to be computed later; where that throws, it is broken from now on. */
  #orBreak(sequence: SequenceId, work: () => void): void {
    const fault = attempt(work)
    if (fault === undefined) return
    this.#broken.set(sequence, fault)
    this.#report(fault)
  }

  #guard(work: () => void): void {
    const fault = attempt(work)
    if (fault !== undefined) this.#report(fault)
  }

  #report(fault: Fault): void {
    this.#modules.report({ type: 'fault', ...fault })
  }

  /**
   * At once, before any step that comes behind it: what the sequences had been asked for until now has been done. Its
   * client pays in later turns.
   */
  #fork({ taskId, client, sequence, from, start, end, tokens }: ForkCommand): void {
    const { cache, report, scheduler, now } = this.#modules
    const began = now()
    const fault =
      this.#broken.get(from) ??
      this.#broken.get(sequence) ??
      attempt(() => cache.fork(from, sequence, tokens, { start, end }))
    scheduler.copied(client, now() - began)
    report({ type: 'forked', taskId, ...(fault !== undefined && { fault }) })
  }

  #advanced({ sequence, position }: AdvancedCommand): void {
    const { cache } = this.#modules
    this.#orBreak(sequence, () => {
      cache.truncate(sequence, position)
      cache.append(sequence, 1)
    })
  }

  #execute(kind: Batch['kind'], run: DeviceRun): RunReport {
    const { scheduler, now } = this.#modules
    const { works } = run
    const began = now()
    const waits = this.#begin(works, began)
    const report = (tokens: number, results: readonly TaskResult[]): RunReport => {
      const seconds = (now() - began) / 1000
      return { type: 'run', kind, rows: works.length, tokens: tokens * works.length, seconds, waits, results }
    }
    try {
      const { tokens, finished } = run.execute()
      const results = finished ? works.map(({ taskId }) => this.#output(taskId)) : []
      scheduler.commit({ works, tokens, finished, milliseconds: now() - began }, now())
      return report(tokens, results)
    } catch (error) {
      scheduler.fail({ works, milliseconds: now() - began }, now())
      const fault = faultOf(error)
      for (const { taskId } of works) this.#guard(() => this.#modules.runner.drop(taskId))
      return report(
        0,
        works.map(({ taskId }) => ({ taskId, ...fault })),
      )
    }
  }

  /** Notes that tasks are begun now; returns how long those that were told so have waited, in seconds. */
  #begin(works: readonly Work[], now: number): number[] {
    const waits: number[] = []
    for (const { taskId } of works) {
      const askedAt = this.#askedAt.get(taskId)
      if (askedAt !== undefined) waits.push((now - askedAt) / 1000)
      this.#askedAt.delete(taskId)
    }
    return waits
  }

  #output(taskId: number): TaskResult {
    return { taskId, output: this.#modules.runner.take(taskId) }
  }
}

/** Does it; returns why not where it throws. */
function attempt(work: () => void): Fault | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return faultOf(error)
  }
}

function faultOf(error: unknown): Fault {
  return { code: errorCode(error), message: errorMessage(error) }
}

function worksOf(batch: Batch): readonly Work[] {
  switch (batch.kind) {
    case 'decode':
      return batch.steps
    case 'prefill':
      return [batch.step]
    case 'pass':
      return [batch.pass]
  }
}
