import type { Work } from '../schedule/work.ts'
import type { TaskInput } from './batch-runner.ts'

/** A pass, piece by piece. */
export interface PassRun {
  readonly isFinished: boolean
  /** What it gave, where that is not in the task's own output. */
  readonly output?: Uint8Array
  /** Computes the next piece; returns its tokens, as a share of what they take in all blocks. */
  step(): number
  release(): void
}

export interface Task {
  readonly input: TaskInput
  readonly output: Uint8Array
  /** Of a pass that has begun. */
  run?: PassRun
}

/** What a runner has been asked for and has not given yet. */
export class Tasks {
  readonly #tasks = new Map<number, Task>()

  accept(work: Work, input: TaskInput): void {
    // A pass is computed in its own buffer.
    const output = work.kind === 'step' ? new Uint8Array(input.hidden.byteLength) : input.hidden
    this.#tasks.set(work.taskId, { input, output })
  }

  get(taskId: number): Task {
    return this.#tasks.get(taskId)!
  }

  /** What a finished task gave; the task is forgotten. */
  take(taskId: number): Uint8Array {
    const { output, run } = this.get(taskId)
    const given = run?.output ?? output
    this.drop(taskId)
    return given
  }

  drop(taskId: number): void {
    const task = this.#tasks.get(taskId)
    this.#tasks.delete(taskId)
    task?.run?.release()
  }

  dropAll(): void {
    for (const taskId of this.#tasks.keys()) this.drop(taskId)
  }
}
