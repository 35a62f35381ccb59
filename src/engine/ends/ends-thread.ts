import { once } from 'node:events'
import type { Transferable, Worker } from 'node:worker_threads'
import { PetalsError, UsageError } from '../../base/errors.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import { type SyncChannel, SyncOutbox, createSyncChannel, postSync } from '../../base/thread/sync-channel.ts'
import type { ResolvedOptions } from '../../sampling/options/options.ts'
import { ChooserThreads } from './chooser-threads.ts'
import { choosingSeconds } from './choosing-seconds.ts'
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

/** Where a text's tokens are chosen, and how long one takes there. */
interface Place {
  readonly chooser: number
  readonly seconds: number
}

/** The thread of a model's ends, and those that choose tokens beside it, seen from the thread that asks them. */
export class EndsThread {
  readonly #worker: Worker
  readonly #channel: SyncChannel
  readonly #outbox: SyncOutbox
  readonly #choosers: ChooserThreads
  readonly #vocabSize: number
  readonly #pending = new Map<number, Pending>()
  /** Of open texts. */
  readonly #places = new Map<number, Place>()
  readonly #ready = Promise.withResolvers<Ready>()
  readonly #onDone: (done: Done) => void
  #nextId = 1
  #failure: Error | undefined

  /** `onDone` is told of each task that is over. */
  constructor(options: EndsOptions, onDone: (done: Done) => void) {
    this.#onDone = onDone
    this.#channel = createSyncChannel()
    this.#outbox = new SyncOutbox(this.#channel)
    this.#worker = startWorker(import.meta.url, 'ends-worker', {
      workerData: { ...options, receiver: this.#channel.receiver },
      transferList: [this.#channel.receiver.port],
    })
    this.#worker.on('error', (error) => this.#fail(error))
    const onEvents = (events: readonly EndsEvent[]): void => {
      for (const event of events) this.#onEvent(event)
    }
    this.#channel.port.on('message', onEvents)
    this.#vocabSize = options.checkpoint.config.vocabSize
    this.#choosers = new ChooserThreads(options.choosers ?? options.threads, {
      onStarted: (link) => this.#tell({ type: 'chooser', link }, [link.sender.port]),
      onEvents,
      onFailed: (error) => {
        this.tell({ type: 'close' })
        this.#fail(error)
      },
    })
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

  /** Opens a text or a beam search behind `ids`; returns its number. */
  openText(type: 'open-text' | 'open-beams', options: ResolvedOptions, ids: readonly number[]): number {
    const textId = this.#nextId++
    if (this.#failure !== undefined) return textId
    const seconds = choosingSeconds(options, this.#vocabSize)
    const chooser = this.#choosers.place(seconds)
    this.#places.set(textId, { chooser, seconds })
    this.tell({ type, textId, chooser, options, ids })
    return textId
  }

  /** Forgets a text or a beam search; one that is closed already stays so. */
  closeText(textId: number): void {
    const place = this.#places.get(textId)
    if (place === undefined) return
    this.#places.delete(textId)
    this.#choosers.leave(place.chooser, place.seconds)
    this.tell({ type: 'close-text', textId })
  }

  /** Has the thread do something and answer. */
  request(task: WithoutId<Task>): Promise<EndsResult> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const taskId = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<EndsResult>()
    this.#pending.set(taskId, { resolve, reject })
    this.#outbox.post({ ...task, taskId } satisfies EndsCommand)
    return promise
  }

  /** Tells the thread something; nothing where it is gone. */
  tell(command: EndsCommand): void {
    if (this.#failure === undefined) this.#tell(command)
  }

  /** At once, so that what cannot be sent fails here. */
  #tell(command: EndsCommand, transfer: Transferable[] = []): void {
    this.#outbox.flush()
    postSync(this.#channel, command, transfer)
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
    void this.#choosers.close()
  }
}

function errorOf({ code, message }: { readonly code: string; readonly message: string }): PetalsError {
  return code === 'USAGE' ? new UsageError(message) : new PetalsError(code, message)
}
