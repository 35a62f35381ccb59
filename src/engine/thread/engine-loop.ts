import { errorCode, errorMessage } from '../../base/errors.ts'
import type { KvCache } from '../cache/kv-cache.ts'
import type { BatchRunner, DeviceRun } from '../run/batch-runner.ts'
import type { Scheduler } from '../schedule/scheduler.ts'
import type { Batch } from '../schedule/work.ts'
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
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
}

/** What the engine thread does over and over: takes commands, lets the scheduler choose, runs the device, reports. */
export class EngineLoop {
  readonly #modules: EngineLoopModules

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
      case 'fork':
        this.#fork(command)
        return true
      case 'advanced':
        this.#advanced(command)
        return true
      case 'cancel':
        this.#drop(this.#modules.scheduler.cancel(command.taskId))
        return true
      case 'close':
        return false
    }
  }

  /** Computes what is next; returns for how many milliseconds nothing is to be done unless a command comes. */
  turn(): number {
    const { scheduler, runner, now } = this.#modules
    const decision = scheduler.schedule(now())
    if (decision.kind === 'wait') return decision.milliseconds
    for (const run of runner.prepare(decision)) this.#modules.report(this.#execute(decision.kind, run))
    return 0
  }

  #open({ sequence, place, maxLength, adapter }: OpenCommand): void {
    const { cache, runner } = this.#modules
    cache.reserve(sequence, place)
    runner.open(sequence, { maxLength, adapter })
  }

  #release(sequence: number): void {
    const { scheduler, runner, cache } = this.#modules
    this.#drop(scheduler.release(sequence))
    runner.close(sequence)
    cache.release(sequence)
  }

  #drop(taskIds: readonly number[]): void {
    if (taskIds.length === 0) return
    for (const taskId of taskIds) this.#modules.runner.drop(taskId)
    this.#modules.report({ type: 'dropped', taskIds })
  }

  #compute({ work, input }: ComputeCommand): void {
    this.#modules.runner.accept(work, input)
    this.#modules.scheduler.add(work, this.#modules.now())
  }

  /** At once, before any step that comes behind it: what the sequences had been asked for until now has been done. */
  #fork({ taskId, sequence, from, start, end, tokens }: ForkCommand): void {
    const { cache, report } = this.#modules
    try {
      cache.fork(from, sequence, tokens, { start, end })
      report({ type: 'forked', taskId })
    } catch (error) {
      report({ type: 'forked', taskId, fault: { code: errorCode(error), message: errorMessage(error) } })
    }
  }

  #advanced({ sequence, position }: AdvancedCommand): void {
    const { cache } = this.#modules
    cache.truncate(sequence, position)
    cache.append(sequence, 1)
  }

  #execute(kind: Batch['kind'], run: DeviceRun): RunReport {
    const { scheduler, now } = this.#modules
    const { works } = run
    const began = now()
    const report = (tokens: number, results: readonly TaskResult[]): RunReport => {
      const seconds = (now() - began) / 1000
      return { type: 'run', kind, rows: works.length, tokens: tokens * works.length, seconds, results }
    }
    try {
      const { tokens, finished } = run.execute()
      scheduler.commit({ works, tokens, finished, milliseconds: now() - began }, now())
      return report(tokens, finished ? works.map(({ taskId }) => this.#output(taskId)) : [])
    } catch (error) {
      scheduler.fail({ works, milliseconds: now() - began }, now())
      const fault = { code: errorCode(error), message: errorMessage(error) }
      for (const { taskId } of works) this.#modules.runner.drop(taskId)
      return report(
        0,
        works.map(({ taskId }) => ({ taskId, ...fault })),
      )
    }
  }

  #output(taskId: number): TaskResult {
    return { taskId, output: this.#modules.runner.take(taskId) }
  }
}
