import type { SyncSender } from '../../base/thread/sync-channel.ts'

/** How the thread of the ends reaches a thread that chooses. */
export interface ChooserLink {
  readonly sender: SyncSender
  /** An Int32 that counts the messages with rows that it has answered, or `LOST`. */
  readonly answered: SharedArrayBuffer
}

/** In place of a count: the thread is gone. */
export const LOST = -1
