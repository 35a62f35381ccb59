import pLimit from 'p-limit'

/** How many times as many items as are worked on may be taken before the first of them is done. */
const AHEAD = 4

/**
 * The results of `work` for items that come one after another, in their order; at most `concurrency` are worked on at a
 * time. A result is given as soon as all before it are, also while the next item has not come. `work` must not reject.
 */
export async function* inOrder<T, R>(
  items: AsyncIterable<T>,
  concurrency: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const limit = pLimit(concurrency)
  const source = items[Symbol.asyncIterator]()
  const begun: Promise<R>[] = []
  let coming: Promise<IteratorResult<T, unknown>> | undefined
  let isOver = false
  while (!isOver || begun.length > 0) {
    if (!isOver && begun.length < concurrency * AHEAD) coming ??= source.next()
    const first = begun[0]?.then(() => 'result' as const)
    const next = coming?.then(() => 'item' as const)
    if ((await Promise.race([first, next].filter((one) => one !== undefined))) === 'result') {
      yield await begun.shift()!
      continue
    }
    const item = await coming!
    coming = undefined
    if (item.done === true) isOver = true
    else begun.push(limit(() => work(item.value)))
  }
}
