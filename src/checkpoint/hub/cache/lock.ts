import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../errors.ts'

/** A lock that its owner has not renewed for this long counts as left behind by a dead process. */
const STALE_MS = 5000
const RENEW_MS = 1000
const POLL_MS = 100

/** How often a lock may be lost before it is an error. A machine that slept loses its locks; that happens rarely. */
const MAX_LOSSES = 3

/**
 * Runs `use` while holding the lock at `path`, which excludes other processes, also those on other machines that share
 * the disk. If the lock is lost meanwhile, `use` is aborted by its signal, the lock is taken again and `use` starts
 * again: it must continue from what it left on disk.
 */
export async function withLock<T>(
  path: string,
  signal: AbortSignal | undefined,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (let losses = 0; ; losses++) {
    const lost = new AbortController()
    const release = await acquire(path, signal, () => lost.abort(new Error('the lock was lost')))
    try {
      return await use(signal === undefined ? lost.signal : AbortSignal.any([signal, lost.signal]))
    } catch (error) {
      if (!lost.signal.aborted || signal?.aborted === true) throw error
      if (losses === MAX_LOSSES) {
        throw new HubError(
          'HUB_FOLDER',
          `the lock ${path}.lock is lost again and again: does that disk keep times of files?`,
          { cause: error },
        )
      }
    } finally {
      await release()
    }
  }
}

/** Runs `use` under the lock if nobody holds it; returns whether it did. */
export async function tryLock(path: string, use: () => Promise<void>): Promise<boolean> {
  const release = await attempt(path, () => undefined)
  if (release === undefined) return false
  try {
    await use()
  } finally {
    await release()
  }
  return true
}

async function acquire(
  path: string,
  signal: AbortSignal | undefined,
  onLost: () => void,
): Promise<() => Promise<void>> {
  for (;;) {
    signal?.throwIfAborted()
    const release = await attempt(path, onLost)
    if (release !== undefined) return release
    await sleep(POLL_MS, undefined, { signal }).catch(() => signal?.throwIfAborted())
  }
}

async function attempt(path: string, onLost: () => void): Promise<(() => Promise<void>) | undefined> {
  // Imported at first use: the module registers signal handlers, which commands that download nothing should not have.
  const { default: lockfile } = await import('proper-lockfile')
  await mkdir(dirname(path), { recursive: true })
  try {
    const release = await lockfile.lock(path, {
      realpath: false,
      stale: STALE_MS,
      update: RENEW_MS,
      onCompromised: onLost,
    })
    // A lock that was lost belongs to another process now: failing to release it is no error.
    return () => release().catch(() => undefined)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ELOCKED') return undefined
    throw error
  }
}
