import { openHeap } from '../runtime/memory.ts'
import type { Row } from './row-allocator.ts'
import { type LoadedSpan, cacheBytes } from './runner.ts'

/** The first `tokens` positions of row `from`, for blocks `start` to `end` of the span, go to row `to`. */
export interface RowCopy {
  readonly from: Row
  readonly to: Row
  readonly start: number
  readonly end: number
  readonly tokens: number
}

/** What copies between the rows of a span's cache; they may differ in capacity. Throws `RuntimeError` where the device fails. */
export function createRowCopier(span: LoadedSpan): (copy: RowCopy) => void {
  const heap = openHeap(span.device)
  const tokenBytes = cacheBytes(span)
  const headBytes = tokenBytes / span.kvHeads
  return ({ from, to, start, end, tokens }) => {
    if (tokens === 0) return
    const addresses = span.caches.slice(start, end).flatMap(({ key, value }) => [key, value])
    heap.copy(addresses.map((address) => ({
      from: address + BigInt(from.offset * tokenBytes),
      fromPitch: from.capacity * headBytes,
      to: address + BigInt(to.offset * tokenBytes),
      toPitch: to.capacity * headBytes,
      width: tokens * headBytes,
      rows: span.kvHeads,
    })))
  }
}
