import { PetalsError } from '../../base/errors.ts'
import type { TaskResult } from './messages.ts'

interface PendingTask {
  readonly rowId: number
  readonly resolve: (output: Uint8Array) => void
  readonly reject: (error: Error) => void
}

/** What the engine thread has been asked for and not answered yet. */
export class PendingTasks {
  readonly #tasks = new Map<number, PendingTask>()
  #nextId = 1

  get size(): number {
    return this.#tasks.size
  }

  add(rowId: number): { taskId: number; output: Promise<Uint8Array> } {
    const taskId = this.#nextId++
    const { promise: output, resolve, reject } = Promise.withResolvers<Uint8Array>()
    this.#tasks.set(taskId, { rowId, resolve, reject })
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

  cancel(rowId: number): void {
    for (const [taskId, task] of this.#tasks) {
      if (task.rowId !== rowId) continue
      this.#tasks.delete(taskId)
      task.reject(new PetalsError('SESSION_CLOSED', 'the session was closed while a step was under way'))
    }
  }

  failAll(error: Error): void {
    for (const task of this.#tasks.values()) task.reject(error)
    this.#tasks.clear()
  }
}
