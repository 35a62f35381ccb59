import type { HubTroubleListener, RemoteFile } from './client.ts'
import type { DownloadProgress } from '../download/progress.ts'
import type { HubSettings } from '../settings.ts'

/** A model of the hub, and where to get its tensors that are not on this machine. Plain data. */
export interface RemoteModel {
  readonly settings: HubSettings
  readonly repo: string
  /** The branch, tag or commit that the user named; `commit` is the commit that it stood for. */
  readonly revision: string
  readonly commit: string
  /** The files that are not completely here, by the path that their tensors' slices name. */
  readonly files: ReadonlyMap<string, RemoteFile>
  /** Leases that keep the fetched parts from being evicted. */
  readonly leases: readonly string[]
}

/** How tensors are downloaded. */
export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Called when the hub does not answer, or not as it should, while there is still hope: what is the matter. */
  readonly onTrouble?: HubTroubleListener | undefined
  /** Requests at a time. */
  readonly concurrency?: number | undefined
  /**
   * The most bytes that the parts of all models may take. With it, no weights go to the standard cache, which we may
   * not evict from.
   */
  readonly maxDiskSpaceBytes?: number | undefined
}
