import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { PetalsError, UsageError } from '../../base/errors.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import { type SyncChannel, createSyncChannel, postSync } from '../../base/thread/sync-channel.ts'
import type {
  EndsCommand,
  EndsEvent,
  EndsOptions,
  EndsResult,
  HeadCommand,
  LossCommand,
  ScoreCommand,
} from './messages.ts'

type Ready = Extract<EndsEvent, { type: 'ready' }>
type Done = Extract<EndsEvent, { type: 'done' }>
type Task = Extract<EndsCommand, { type: 'embed' }> | HeadCommand | LossCommand | ScoreCommand
type WithoutId<T> = T extends unknown ? Omit<T, 'taskId'> : never

interface Pending {
  readonly resolve: (result: EndsResult) => void
  readonly reject: (error: Error) => void
}

/** The thread of a model's ends, seen from the thread that asks it. */
export class EndsThread {
  readonly #worker: Worker
  readonly #channel: SyncChannel
  readonly #pending = new Map<number, Pending>()
  readonly #ready = Promise.withResolvers<Ready>()
  readonly #onDone: (done: Done) => void
  #nextId = 1
  #failure: Error | undefined

  /** `onDone` is told of each task that is over. */
  constructor(options: EndsOptions, onDone: (done: Done) => void) {
    this.#onDone = onDone
    this.#channel = createSyncChannel()
    this.#worker = startWorker(import.meta.url, 'ends-worker', {
      workerData: { ...options, receiver: this.#channel.receiver },
      transferList: [this.#channel.receiver.port],
    })
    this.#worker.on('error', (error) => this.#fail(error))
    this.#channel.port.on('message', (event: EndsEvent) => this.#onEvent(event))
  }

  /** Rejects where the ends cannot be loaded. */
  get ready(): Promise<Ready> {
    return this.#ready.promise
  }

  /** Why it answers no more. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Tasks that it has not answered yet. */
  get numPending(): number {
    return this.#pending.size
  }

  /** A number that no other text has. */
  newId(): number {
    return this.#nextId++
  }

  /** Has the thread do something and answer. */
  request(task: WithoutId<Task>): Promise<EndsResult> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const taskId = this.newId()
    const { promise, resolve, reject } = Promise.withResolvers<EndsResult>()
    this.#pending.set(taskId, { resolve, reject })
    postSync(this.#channel, { ...task, taskId } satisfies EndsCommand)
    return promise
  }

  /** Tells the thread something; nothing where it is gone. */
  tell(command: EndsCommand): void {
    if (this.#failure === undefined) postSync(this.#channel, command)
  }

  async close(): Promise<void> {
    if (this.#failure !== undefined) return
    const exited = once(this.#worker, 'exit')
    this.tell({ type: 'close' })
    this.#fail(new PetalsError('ENGINE_CLOSED', 'the model was closed'))
    await exited
    this.#channel.port.close()
  }

  #onEvent(event: EndsEvent): void {
    if (event.type === 'ready') return this.#ready.resolve(event)
    if (event.type === 'failed' && event.taskId === undefined) return this.#fail(errorOf(event))
    const task = this.#pending.get(event.taskId!)
    this.#pending.delete(event.taskId!)
    if (event.type === 'failed') {
      task?.reject(errorOf(event))
      return
    }
    this.#onDone(event)
    task?.resolve(event.result)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#ready.reject(error)
    this.#ready.promise.catch(() => {})
    for (const task of this.#pending.values()) task.reject(error)
    this.#pending.clear()
  }
}

function errorOf({ code, message }: { readonly code: string; readonly message: string }): PetalsError {
  return code === 'USAGE' ? new UsageError(message) : new PetalsError(code, message)
}
