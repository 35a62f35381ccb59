import pLimit from 'p-limit'

/**
 * The most sessions that one call opens at a time: enough for servers to compute them as one batch, and not too large a
 * share of the servers' caches for one client.
 */
export const MAX_SESSIONS = 16

/**
 * Runs jobs, at most `concurrency` at a time, and returns their results in order. The first failure aborts the signals
 * of the others and is thrown when all have ended.
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
