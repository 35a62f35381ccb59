import type { DecodeRun, ReadyRow } from './decode-runs.ts'

/** Where rows may be added to a run: `bridgeable` as in `planDecodeRuns`, for rows that end within `cacheTokens`. */
export interface BucketLimits {
  readonly maxRows: number
  readonly cacheTokens: number
  readonly bridgeable: (offset: number, capacity: number) => boolean
}

/**
 * Widens a run to a bucket: 2^n rows that begin at a multiple of their own number, some of which nobody asked for. The
 * run itself where one of those may not be written. A CUDA graph is good for the rows that it was recorded with only:
 * there are twice as many buckets as rows, but as many other ranges as pairs of rows; and on a GPU 16 rows take as long
 * as one.
 */
export function widenToBucket<T extends ReadyRow>(
  run: DecodeRun<T>,
  { maxRows, cacheTokens, bridgeable }: BucketLimits,
): DecodeRun<T> {
  const { offset, capacity, rows } = run
  const first = offset / capacity
  if (!Number.isInteger(first)) return run
  let size = 1
  while (Math.floor(first / size) !== Math.floor((first + rows.length - 1) / size)) size *= 2
  const begin = Math.floor(first / size) * size
  if (size > maxRows || (begin + size) * capacity > cacheTokens) return run
  const before = first - begin
  const widened = Array.from({ length: size }, (_, i) => rows[i - before])
  const added = (i: number) => i < before || i >= before + rows.length
  if (widened.some((_, i) => added(i) && !bridgeable((begin + i) * capacity, capacity))) return run
  return { offset: begin * capacity, capacity, rows: widened }
}
