import { SwarmError } from './errors.ts'

/**
 * Runs `work` with a signal that is aborted with the caller's signal, or with `SWARM_TIMEOUT` after `timeoutMs`. `what`
 * completes the message "timed out after 3 s: ". All listeners are removed from the caller's signal afterwards.
 */
export async function withDeadline<T>(
  what: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const controller = new AbortController()
  const onAbort = () => controller.abort(signal?.reason)
  const timer = setTimeout(
    () => controller.abort(new SwarmError('SWARM_TIMEOUT', `timed out after ${timeoutMs / 1000} s: ${what}`)),
    timeoutMs,
  )
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await work(controller.signal)
  } catch (error) {
    // libp2p wraps or replaces an abort's reason; the caller should see the real one.
    throw controller.signal.aborted ? controller.signal.reason : error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** Waits `ms` milliseconds. Returns false if the signal ended the wait early. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const onAbort = () => resolve(false)
  const timer = setTimeout(resolve, ms, true)
  timer.unref()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}
