/**
 * Runs `work` for every item, at most `limit` at a time. The first failure aborts the other runs by their signal. It is
 * thrown when all have ended, so that nothing is still running afterwards.
 */
export async function forEachParallel<T>(
  items: readonly T[],
  limit: number,
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController()
  const combined = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal])
  const queue = items.values()
  let failure: { readonly error: unknown } | undefined
  const lane = async (): Promise<void> => {
    for (const item of queue) {
      if (combined.aborted) return
      try {
        await work(item, combined)
      } catch (error) {
        failure ??= { error }
        failed.abort(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  signal?.throwIfAborted()
  if (failure !== undefined) throw failure.error
}
