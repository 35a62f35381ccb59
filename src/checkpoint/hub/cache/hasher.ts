import { Worker } from 'node:worker_threads'
import { workerUrl } from '../../../base/worker-url.ts'
import { HubError } from '../errors.ts'

export interface HashRequest {
  readonly id: number
  readonly file: string
  readonly withGitId: boolean
}

export interface FileDigest {
  readonly sha256: string
  readonly gitId?: string
}

export type HashAnswer = { readonly id: number } & (FileDigest | { readonly failure: string })

interface Pending {
  readonly resolve: (digest: FileDigest) => void
  readonly reject: (error: Error) => void
}

/** Checksums of files, one after another in a thread of its own, which begins with the first of them. */
export class Hasher {
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | undefined
  #nextId = 0

  /** Throws `HUB_FOLDER` where the file cannot be read. */
  digest(file: string, options: { readonly withGitId?: boolean } = {}): Promise<FileDigest> {
    this.#worker ??= this.#start()
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<FileDigest>()
    this.#pending.set(id, { resolve, reject })
    this.#worker.postMessage({ id, file, withGitId: options.withGitId ?? false } satisfies HashRequest, [])
    return promise
  }

  async close(): Promise<void> {
    this.#fail('it was closed')
    await this.#worker?.terminate()
    this.#worker = undefined
  }

  #start(): Worker {
    const worker = new Worker(workerUrl(import.meta.url, 'hash-worker'), { execArgv: [] })
    worker.on('message', (answer: HashAnswer) => {
      const pending = this.#pending.get(answer.id)
      this.#pending.delete(answer.id)
      if ('failure' in answer) pending?.reject(failure(answer.failure))
      else pending?.resolve(answer)
    })
    worker.on('error', (error) => this.#fail(error.message))
    return worker
  }

  #fail(reason: string): void {
    for (const { reject } of this.#pending.values()) reject(failure(reason))
    this.#pending.clear()
  }
}

function failure(reason: string): HubError {
  return new HubError('HUB_FOLDER', `a checksum could not be computed: ${reason}`)
}
