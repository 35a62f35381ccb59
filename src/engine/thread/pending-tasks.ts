import { PetalsError } from '../../base/errors.ts'
import type { SequenceId } from '../cache/kv-cache.ts'
import type { TaskResult } from './messages.ts'

interface PendingTask {
  /** Undefined of a pass, which belongs to none. */
  readonly sequence: SequenceId | undefined
  readonly resolve: (output: Uint8Array) => void
  readonly reject: (error: Error) => void
}

/**
 * What the engine thread has been asked for and not answered yet. A task that was abandoned stays until it is: the
 * thread may be computing it.
 */
export class PendingTasks {
  readonly #tasks = new Map<number, PendingTask>()
  #nextId = 1

  get size(): number {
    return this.#tasks.size
  }

  add(sequence?: SequenceId): { taskId: number; output: Promise<Uint8Array> } {
    const taskId = this.#nextId++
    const { promise: output, resolve, reject } = Promise.withResolvers<Uint8Array>()
    this.#tasks.set(taskId, { sequence, resolve, reject })
    return { taskId, output }
  }

  /** Returns the error where the task failed. */
  settle(result: TaskResult): PetalsError | undefined {
    const task = this.#tasks.get(result.taskId)
    this.#tasks.delete(result.taskId)
    if ('output' in result) {
      task?.resolve(result.output)
      return undefined
    }
    const error = new PetalsError(result.code, result.message)
    task?.reject(error)
    return error
  }

  /** Nobody waits for the task any more; what its caller has is rejected with `error`. */
  abandon(taskId: number, error: Error): void {
    this.#tasks.get(taskId)?.reject(error)
  }

  /** The thread has forgotten a task without computing it. */
  drop(taskId: number): void {
    this.#tasks.delete(taskId)
  }

  /** Rejects what waits for a sequence that is over. */
  cancel(sequence: SequenceId): void {
    for (const [taskId, task] of this.#tasks) {
      if (task.sequence !== sequence) continue
      this.abandon(taskId, new PetalsError('SESSION_CLOSED', 'the session was closed while a step was under way'))
    }
  }

  failAll(error: Error): void {
    for (const task of this.#tasks.values()) task.reject(error)
    this.#tasks.clear()
  }
}
