import { type DecodeRun, type IdleCost, type ReadyRow, idleTokens } from './decode-runs.ts'

/** Where decode runs go through buckets of rows. */
export interface BucketOptions {
  readonly cacheTokens: number
  /** There are no smaller buckets: so many rows take as long as one. */
  readonly leastRows: number
  /** Tokens of a cache that take as long to read as the weights of a run. */
  readonly runTokens: number
}

/** Where rows may be added to a run: `bridgeable` as in `planDecodeRuns`, for rows that end within `cacheTokens`. */
export interface BucketLimits extends Omit<BucketOptions, 'runTokens'> {
  readonly maxRows: number
  readonly bridgeable: (offset: number, capacity: number) => boolean
  readonly idle: IdleCost
}

/** By how much a run may take longer for what the idle rows of its bucket hold. */
const IDLE_SHARE = 1 / 8

/**
 * Widens a run to a bucket: 2^n rows that begin at a multiple of their own number, some of which nobody asked for. A
 * CUDA graph is good for the rows that it was recorded with only, so there are to be few such ranges: 7 for 64 rows of
 * a capacity and buckets of 16 rows at least, where there are as many others as pairs of rows. An idle row writes one
 * token where its own end is, and so reads all that it holds: where that is much, the bucket is the smallest that has
 * the run's rows, or the run stays as it is, also where a row of the bucket may not be written.
 */
export function widenToBucket<T extends ReadyRow>(run: DecodeRun<T>, limits: BucketLimits): DecodeRun<T> {
  const { offset, capacity, rows } = run
  const first = offset / capacity
  if (!Number.isInteger(first)) return run
  let size = 1
  while (Math.floor(first / size) !== Math.floor((first + rows.length - 1) / size)) size *= 2
  const sizes = new Set([Math.max(size, limits.leastRows), size])
  return [...sizes].map((rows) => bucketOf(run, rows, limits)).find((bucket) => bucket !== undefined) ?? run
}

/** The run widened to the bucket of `size` rows that its first row lies in. */
function bucketOf<T extends ReadyRow>(
  { offset, capacity, rows }: DecodeRun<T>,
  size: number,
  { maxRows, cacheTokens, bridgeable, idle }: BucketLimits,
): DecodeRun<T> | undefined {
  const first = offset / capacity
  const begin = Math.floor(first / size) * size
  if (size > maxRows || (begin + size) * capacity > cacheTokens) return undefined
  const before = first - begin
  const added = Array.from({ length: size }, (_, i) => i)
    .filter((i) => i < before || i >= before + rows.length)
    .map((i) => (begin + i) * capacity)
  if (!added.every((at) => bridgeable(at, capacity)) || idleTokens(added, idle) > IDLE_SHARE * idle.runTokens)
    return undefined
  return { offset: begin * capacity, capacity, rows: Array.from({ length: size }, (_, i) => rows[i - before]) }
}

/**
 * The least bucket of a GPU: sixteen rows take 4 % longer than one where weights are floats, and 3.6 times as long in
 * int4 (both measured, of onnxruntime's operators alone).
 */
export function leastRows(isQuantized: boolean): number {
  return isQuantized ? 1 : 16
}
