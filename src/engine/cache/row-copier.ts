import { PetalsError } from '../../base/errors.ts'
import { openHeap } from '../../runtime/memory.ts'
import { CacheScales } from './scales.ts'
import { RowBases } from './window.ts'
import type { Row } from './row-allocator.ts'
import { type LoadedSpan, cacheBytes } from '../run/runner.ts'

/** The first `tokens` positions of row `from`, for blocks `start` to `end` of the span, go to row `to`. */
export interface RowCopy {
  readonly from: Row
  readonly to: Row
  readonly start: number
  readonly end: number
  readonly tokens: number
}

/**
 * What copies between the rows of a span's cache; they may differ in capacity. Throws `RuntimeError` where the device
 * fails and `SESSION_FORK` where windowed blocks no longer hold what the copy would attend to, or have less room for
 * it.
 */
export function createRowCopier(span: LoadedSpan): (copy: RowCopy) => void {
  const heap = openHeap(span.device)
  const bases = span.window && new RowBases(span.window)
  const scales = span.scales && new CacheScales(span, span.scales)
  const tokenBytes = cacheBytes(span)
  const headBytes = tokenBytes / span.kvHeads
  return ({ from, to, start, end, tokens }) => {
    if (tokens === 0) return
    const base = bases?.get(from) ?? 0
    if (bases !== undefined && (!bases.reaches(from, tokens) || tokens - base > bases.slots(to))) {
      throw new PetalsError(
        'SESSION_FORK',
        `the first ${tokens} tokens are not in the cache as a row of ${to.capacity} tokens would hold them`,
      )
    }
    bases?.set(to, base)
    scales?.copy(from, to, start, end)
    const copies = span.caches.slice(start, end).flatMap(({ key, value }, i) =>
      [key, value].map((address) => ({
        from: address + BigInt(from.offset * tokenBytes),
        fromPitch: from.capacity * headBytes,
        to: address + BigInt(to.offset * tokenBytes),
        toPitch: to.capacity * headBytes,
        width: (span.window?.blocks[start + i] ? tokens - base : tokens) * headBytes,
        rows: span.kvHeads,
      })),
    )
    heap.copy(copies)
  }
}
