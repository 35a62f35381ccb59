import type { RemoteFile } from './client.ts'
import type { DownloadProgress } from '../download/progress.ts'
import type { HubSettings } from '../settings.ts'

/** Where the tensors of a model of the hub are that are not here. Plain data. */
export interface RemoteModel {
  readonly settings: HubSettings
  readonly repo: string
  /** As the user named it; `commit` is what it meant. */
  readonly revision: string
  readonly commit: string
  /** The files that are not wholly here, by the path that their tensors' slices have. */
  readonly files: ReadonlyMap<string, RemoteFile>
  /** Marks that keep the fetched parts from being evicted. */
  readonly leases: readonly string[]
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Requests at a time. */
  readonly concurrency?: number | undefined
  /** Bounds the parts of all models. The standard cache then gets no weights, since nothing there is ours to evict. */
  readonly maxDiskSpaceBytes?: number | undefined
}
