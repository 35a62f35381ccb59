import type { Worker } from 'node:worker_threads'
import { startWorker } from '../../base/thread/start-worker.ts'
import { createSyncChannel } from '../../base/thread/sync-channel.ts'
import { type ChooserLink, LOST } from './chooser-link.ts'
import type { EndsEvent } from './messages.ts'

/** How long choosing for all open texts may take a thread before another one is worth what it costs. */
const WORTH_SECONDS = 0.01

export interface ChooserEvents {
  /** A thread that the thread of the ends must know from now on. */
  onStarted(link: ChooserLink): void
  onEvents(events: readonly EndsEvent[]): void
  onFailed(error: Error): void
}

/**
 * Threads that choose tokens beside the thread of the ends, which is number 0 of those that choose. They start as texts
 * come, each text stays with one, and they stay until the ends are closed.
 */
export class ChooserThreads {
  readonly #max: number
  readonly #events: ChooserEvents
  readonly #workers: Worker[] = []
  /** Seconds that choosing for its open texts takes each thread. */
  readonly #seconds: number[] = [0]

  /** `max`: threads that choose, that of the ends among them. */
  constructor(max: number, events: ChooserEvents) {
    this.#max = max
    this.#events = events
  }

  /** The thread for a text whose tokens take so long: the one with the least to do. */
  place(seconds: number): number {
    const all = this.#seconds.reduce((sum, own) => sum + own, seconds)
    if (this.#seconds.length < this.#max && all > WORTH_SECONDS * this.#seconds.length) this.#start()
    const least = this.#seconds.indexOf(Math.min(...this.#seconds))
    this.#seconds[least]! += seconds
    return least
  }

  /** The text is closed that was placed there. */
  leave(chooser: number, seconds: number): void {
    this.#seconds[chooser]! -= seconds
  }

  /** Ends them all, and whatever they do. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #start(): void {
    const { receiver, port, signal } = createSyncChannel()
    const answered = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    const worker = startWorker(import.meta.url, 'chooser-worker', {
      workerData: { receiver, answered },
      transferList: [receiver.port],
    })
    this.#workers.push(worker)
    this.#seconds.push(0)
    worker.on('message', (events: readonly EndsEvent[]) => this.#events.onEvents(events))
    worker.on('error', (error) => this.#events.onFailed(error))
    worker.on('exit', () => {
      const counter = new Int32Array(answered)
      Atomics.store(counter, 0, LOST)
      Atomics.notify(counter, 0)
    })
    this.#events.onStarted({ sender: { port, signal }, answered })
  }
}
