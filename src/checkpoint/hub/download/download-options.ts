import type { HubTroubleListener } from '../remote/client.ts'
import type { DownloadProgress } from './progress.ts'

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
