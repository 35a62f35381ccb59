/**
 * The values of several generators as they come, at most `concurrency` of them under way. A generator is asked for its
 * next value only when its last one was taken, so a slow reader slows them all. When one fails, or the reader wants no
 * more, `stop` is aborted, which must make the others end.
 */
export async function* merged<T>(
  generators: readonly AsyncGenerator<T, void>[],
  concurrency: number,
  stop: AbortController,
): AsyncGenerator<T, void> {
  const pending = new Map<AsyncGenerator<T, void>, Promise<Arrived<T>>>()
  let numStarted = 0
  const ask = (generator: AsyncGenerator<T, void>): void => {
    const next = generator.next().then((result) => ({ generator, result }))
    // It may fail while another value is waited for or read.
    next.catch(() => undefined)
    pending.set(generator, next)
  }
  const startNext = (): void => {
    const generator = generators[numStarted++]
    if (generator !== undefined) ask(generator)
  }
  for (let i = 0; i < concurrency; i++) startNext()
  try {
    while (pending.size > 0) {
      const { generator, result } = await Promise.race(pending.values())
      pending.delete(generator)
      if (result.done === true) {
        startNext()
        continue
      }
      yield result.value
      ask(generator)
    }
  } finally {
    stop.abort()
    await Promise.allSettled(generators.slice(0, numStarted).map((generator) => generator.return()))
  }
}

interface Arrived<T> {
  readonly generator: AsyncGenerator<T, void>
  readonly result: IteratorResult<T, void>
}
