import pLimit from 'p-limit'

/**
 * Sessions of one call that are open at once: what servers compute as one batch, and what one client should hold of
 * their caches.
 */
export const MAX_SESSIONS = 16

/**
 * Runs the jobs, at most `concurrency` at a time, and gives their results in order. The first failure aborts the
 * others' signals and is thrown once all are over.
 */
export async function runTogether<T>(
  jobs: readonly ((signal: AbortSignal) => Promise<T>)[],
  concurrency: number,
  signal?: AbortSignal,
): Promise<T[]> {
  const failed = new AbortController()
  const either = AbortSignal.any(signal === undefined ? [failed.signal] : [signal, failed.signal])
  const limit = pLimit(concurrency)
  const settled = await Promise.allSettled(
    jobs.map((job) =>
      limit(async () => {
        try {
          return await job(either)
        } catch (error) {
          failed.abort(error)
          throw error
        }
      }),
    ),
  )
  if (failed.signal.aborted) throw failed.signal.reason
  return settled.map((result) => (result as PromiseFulfilledResult<T>).value)
}
