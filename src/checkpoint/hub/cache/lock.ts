import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '../errors.ts'

/** A lock whose owner has not renewed it for this long belongs to a dead process. */
const STALE_MS = 5000
const RENEW_MS = 1000
const POLL_MS = 100

/** A machine that slept loses its locks; more often than this it is something else. */
const MAX_LOSSES = 3

/**
 * Runs `use` while no other process, on this machine or another one that shares the disk, runs one for the same `path`.
 * Where the lock is lost meanwhile, `use` is aborted by its signal and run again, so it must be able to go on from
 * where it was.
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

/** Runs `use` if nobody else holds the lock; returns whether it did. */
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
  // Loaded at first use: it registers signal handlers, which commands that download nothing do without.
  const { lock } = await import('proper-lockfile')
  await mkdir(dirname(path), { recursive: true })
  try {
    const release = await lock(path, { realpath: false, stale: STALE_MS, update: RENEW_MS, onCompromised: onLost })
    // A lost lock is somebody else's to release.
    return () => release().catch(() => undefined)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ELOCKED') return undefined
    throw error
  }
}
