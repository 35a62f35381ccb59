import { startWorker } from '../../../base/thread/start-worker.ts'
import { Thread } from '../../../base/thread/thread.ts'
import { HubError } from '../errors.ts'

/** A file's checksums; `gitId` only where it was asked for. */
export interface FileDigest {
  readonly sha256: string
  readonly gitId?: string
}

/** The calls that the hashing thread answers. */
export interface HashCalls {
  digest(request: { readonly file: string; readonly withGitId: boolean }): FileDigest
}

/** Computes checksums of files, one after another, in a thread of its own that starts with the first file. */
export class Hasher {
  #thread: Thread<HashCalls> | undefined

  /** Reads a file and returns its checksums. Throws `HUB_FOLDER` if the file cannot be read. */
  digest(file: string, { withGitId = false }: { readonly withGitId?: boolean } = {}): Promise<FileDigest> {
    this.#thread ??= new Thread(startWorker(import.meta.url, 'hash-worker'), checksumError)
    return this.#thread.call('digest', { file, withGitId })
  }

  async close(): Promise<void> {
    await this.#thread?.end()
    this.#thread = undefined
  }
}

/** The error of a thread that cannot hash. */
export function checksumError(reason: string): HubError {
  return new HubError('HUB_FOLDER', `a checksum could not be computed: ${reason}`)
}
