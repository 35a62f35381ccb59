/*
 * The room `thread/`: the engine thread, which owns the scheduler, the runner and the cache's storage and makes
 * synchronous native calls; the messages to it and from it; and what the thread that asks sees of it.
 */
import { EventEmitter, once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { PetalsError, errorMessage } from '../../base/errors.ts'
import { sharedNow } from '../../base/clock.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import type { TaskInput } from '../run/batch-runner.ts'
import type { CacheStep, Work } from '../schedule/work.ts'
import type { EngineWorkerData } from './engine-worker.ts'
import type {
  EngineCommand,
  EngineEvent,
  ForkCommand,
  PrepareReport,
  RopeReady,
  RunReport,
  TaskResult,
} from './messages.ts'
import { PendingTasks } from './pending-tasks.ts'
import {
  type SyncChannel,
  SyncOutbox,
  createSyncChannel,
  postAsleep,
  transferable,
} from '../../base/thread/sync-channel.ts'

/** A task for the engine thread, before it has its id. */
export type WorkRequest = Work extends infer W ? (W extends Work ? Omit<W, 'taskId'> : never) : never

/** Ends a task that is under way; the reason is what its caller is told. */
export type CancelTask = (reason: Error) => void

interface EngineThreadEvents {
  run: [RunReport]
  fault: [PetalsError]
  rope: [RopeReady]
  prepared: [PrepareReport]
  failed: [PetalsError]
}

/**
 * The engine thread, as the thread that asks it sees it: commands go in, each task is a promise. Events: `run` after
 * each device run, `fault` when one failed, `rope` for each rotary table that is made, `prepared` for each step of its
 * preparation, `failed` (`ENGINE_LOST`) when the thread has died: everything is rejected from then on.
 */
export class EngineThread extends EventEmitter<EngineThreadEvents> {
  readonly #worker: Worker
  readonly #channel: SyncChannel
  readonly #outbox: SyncOutbox
  readonly #pending = new PendingTasks()
  readonly #ready = Promise.withResolvers<void>()
  #failure: Error | undefined

  constructor(data: Omit<EngineWorkerData, 'receiver'>) {
    super()
    // Whoever does not wait for it is told by the first task.
    this.#ready.promise.catch(() => undefined)
    this.#channel = createSyncChannel()
    this.#outbox = new SyncOutbox(this.#channel)
    const workerData: EngineWorkerData = { ...data, receiver: this.#channel.receiver }
    this.#worker = startWorker(import.meta.url, 'engine-worker', {
      workerData,
      transferList: [this.#channel.receiver.port],
    })
    this.#worker.on('error', (error) => this.#died(errorMessage(error)))
    this.#worker.on('exit', (code) => this.#died(`it ended with code ${code}`))
    this.#channel.port.on('message', (event: EngineEvent) => this.#onEvent(event))
  }

  /** Whether the thread has nothing to compute, also nothing that nobody waits for any more. */
  get isIdle(): boolean {
    return this.#pending.size === 0
  }

  /** Why nothing works any more. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Resolves once the thread computes without compiling anything first. Rejects with why nothing works. */
  ready(): Promise<void> {
    return this.#ready.promise
  }

  /** Computes, on buffers that are taken over. Rejects with what the device run threw, or the reason of `cancel`. */
  compute(request: WorkRequest, input: TaskInput): { output: Promise<Uint8Array>; cancel: CancelTask } {
    if (this.#failure !== undefined) throw this.#failure
    const { taskId, output } = this.#pending.add(request.kind === 'step' ? request.sequence : undefined)
    const hidden = transferable(input.hidden)
    const work = { ...request, taskId } as Work
    const backward = input.backward && { ...input.backward, gradient: transferable(input.backward.gradient) }
    const buffers = [hidden, ...(backward === undefined ? [] : [backward.gradient])]
    const sentAt = sharedNow()
    this.tell(
      { type: 'compute', work, input: { ...input, hidden, backward }, sentAt },
      buffers.map(({ buffer }) => buffer as ArrayBuffer),
    )
    const cancel = (reason: Error): void => {
      this.#pending.abandon(taskId, reason)
      this.tell({ type: 'cancel', taskId })
    }
    return { output, cancel }
  }

  /** Rejects with `SESSION_FORK` and what the device threw. */
  async fork(command: Omit<ForkCommand, 'type' | 'taskId'>): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    const { taskId, output } = this.#pending.add(command.sequence)
    this.tell({ ...command, type: 'fork', taskId })
    await output
  }

  /** Rejects what waits for a sequence that is over. */
  release(sequence: CacheStep['sequence']): void {
    this.#pending.cancel(sequence)
    this.tell({ type: 'release', sequence })
  }

  /** Throws why nothing works any more, but for commands that only give something back. */
  tell(command: EngineCommand, transfer: ArrayBuffer[] = []): void {
    if (this.#failure === undefined) return this.#outbox.post(command, transfer)
    if (command.type !== 'release' && command.type !== 'cancel') throw this.#failure
  }

  /** Tells it without waking it up: it is read before the next command that matters. */
  tellLater(command: EngineCommand): void {
    postAsleep(this.#channel, command)
  }

  /**
   * Ends the thread after the run that it is in; whatever still waits is rejected with `ENGINE_CLOSED`. Resolves to
   * whether the thread has given back what lay on a device; one that dies has not.
   */
  async close(): Promise<boolean> {
    let hasShutDown = false
    if (this.#failure === undefined) {
      const exited = once(this.#worker, 'exit').then(
        ([code]) => code === 0,
        () => false,
      )
      this.tell({ type: 'close' })
      this.#fail(new PetalsError('ENGINE_CLOSED', 'the engine was closed'))
      hasShutDown = await exited
    }
    await this.#worker.terminate()
    this.#channel.port.close()
    return hasShutDown
  }

  #onEvent(event: EngineEvent): void {
    switch (event.type) {
      case 'closed':
        return
      case 'ready':
        return this.#ready.resolve()
      case 'prepared':
        this.emit('prepared', event)
        return
      case 'rope':
        this.emit('rope', event)
        return
      case 'fault':
        if (event.taskId !== undefined) return this.#settle({ ...event, taskId: event.taskId })
        this.emit('fault', new PetalsError(event.code, event.message))
        return
      case 'forked':
        return this.#settle({ taskId: event.taskId, ...(event.fault ?? { output: new Uint8Array(0) }) })
      case 'dropped':
        for (const taskId of event.taskIds) this.#pending.drop(taskId)
        return
      case 'run':
        for (const result of event.results) this.#settle(result)
        this.emit('run', event)
    }
  }

  #settle(result: TaskResult): void {
    const error = this.#pending.settle(result)
    // What a session itself has asked for wrongly says nothing about the device.
    if (error !== undefined && !error.code.startsWith('SESSION_')) this.emit('fault', error)
  }

  #died(reason: string): void {
    if (this.#failure !== undefined) return
    const error = new PetalsError('ENGINE_LOST', `the engine thread died: ${reason}`)
    this.#fail(error)
    this.emit('failed', error)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#ready.reject(error)
    this.#pending.failAll(error)
  }
}
