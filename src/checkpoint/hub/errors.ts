import { errorMessage, PetalsError } from '../../base/errors.ts'

/**
 * What can go wrong between a model hub and this machine's folders:
 * - `HUB_GATED`: the model's conditions have not been accepted, or no token says by whom; `HUB_TOKEN`: the token is
 *   refused
 * - `HUB_REPO_NOT_FOUND`, `HUB_REVISION_NOT_FOUND`, `HUB_FILE_NOT_FOUND`: there is no such thing on the hub
 * - `HUB_RATE_LIMITED`, `HUB_UNAVAILABLE`, `HUB_CONNECTION`: it went on failing after several attempts
 * - `HUB_OFFLINE`: not in the cache, and the hub may not be asked
 * - `HUB_RANGES`: the server ignores byte ranges; `HUB_ANSWER`: an answer that is no hub's; `HUB_CONTENT`: bytes that
 *   are not those of the pinned version
 * - `HUB_DISK_FULL`, `HUB_DISK_LIMIT`, `HUB_FOLDER`: no room, no room within the bound, or a folder that cannot be used
 * - `HUB_IN_USE`: a process uses what is to be deleted
 */
export type HubErrorCode =
  | 'HUB_GATED'
  | 'HUB_TOKEN'
  | 'HUB_REPO_NOT_FOUND'
  | 'HUB_REVISION_NOT_FOUND'
  | 'HUB_FILE_NOT_FOUND'
  | 'HUB_RATE_LIMITED'
  | 'HUB_UNAVAILABLE'
  | 'HUB_CONNECTION'
  | 'HUB_OFFLINE'
  | 'HUB_RANGES'
  | 'HUB_ANSWER'
  | 'HUB_CONTENT'
  | 'HUB_DISK_FULL'
  | 'HUB_DISK_LIMIT'
  | 'HUB_FOLDER'
  | 'HUB_IN_USE'

const RETRYABLE: ReadonlySet<HubErrorCode> = new Set(['HUB_RATE_LIMITED', 'HUB_UNAVAILABLE', 'HUB_CONNECTION'])

/** A model of a hub that cannot be had; the message says what to do. */
export class HubError extends PetalsError {
  declare readonly code: HubErrorCode
  /** How long the server asked to wait before the next request. */
  readonly retryAfterMs: number | undefined

  constructor(
    code: HubErrorCode,
    message: string,
    options: { cause?: unknown; retryAfterMs?: number | undefined } = {},
  ) {
    super(code, message, options.cause === undefined ? undefined : { cause: options.cause })
    this.retryAfterMs = options.retryAfterMs
  }

  /** Whether the same request may succeed a little later. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code)
  }
}

/**
 * Turns an error of the file system below `folder` into a `HubError` that tells the user what it means; other errors
 * are returned as they are.
 */
export function folderError(error: unknown, folder: string): unknown {
  if (!(error instanceof Error) || error instanceof PetalsError || !('code' in error)) return error
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    return new HubError(
      'HUB_DISK_FULL',
      `the disk of ${folder} is full: free some space there, or set HF_HOME to a folder on a larger disk`,
      { cause: error },
    )
  }
  if (typeof error.code === 'string' && 'syscall' in error && 'path' in error) {
    return new HubError(
      'HUB_FOLDER',
      `${folder} cannot be used (${errorMessage(error)}): repair it, or set HF_HOME to another folder`,
      { cause: error },
    )
  }
  return error
}
