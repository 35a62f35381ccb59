import { PetalsError } from '../../base/errors.ts'
import { startWorker } from '../../base/thread/start-worker.ts'
import { Thread } from '../../base/thread/thread.ts'

/** With fewer weights than this the processor's own tables hold where all their pages lie. */
const MIN_BYTES = 64 << 20

/** What the gathering thread is asked. */
export interface GatherCalls {
  gather(nothing: undefined): number
}

/**
 * Brings weights of so many bytes, which are all in memory, into huge pages: in a thread of its own, while they are
 * used already. Takes seconds for gigabytes.
 */
export class PageGatherer {
  readonly #thread: Thread<GatherCalls> | undefined
  /**
   * Resolves when it is done, to the bytes that are in huge pages, or to 0 when it was ended or has failed, which
   * changes nothing but speed; never rejects.
   */
  readonly done: Promise<number>

  constructor(weightBytes: number) {
    if (weightBytes < MIN_BYTES || process.platform !== 'linux') {
      this.done = Promise.resolve(0)
      return
    }
    const thread = (this.#thread = new Thread<GatherCalls>(startWorker(import.meta.url, 'gather-worker'), threadLost))
    const gathered = thread.call('gather', undefined).catch(() => 0)
    this.done = gathered.finally(() => thread.end())
  }

  /** Ends it, done or not. */
  async end(): Promise<void> {
    await this.#thread?.end()
    await this.done
  }
}

function threadLost(reason: string): PetalsError {
  return new PetalsError('ENGINE_LOAD', `gathering pages ended: ${reason}`)
}
