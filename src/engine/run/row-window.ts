import type { DecodeRun, ReadyRow } from './decode-runs.ts'

/** Where rows may be added to a run: `bridgeable` as in `planDecodeRuns`, for rows that end within `cacheTokens`. */
export interface WindowLimits {
  readonly maxRows: number
  readonly cacheTokens: number
  readonly bridgeable: (offset: number, capacity: number) => boolean
}

/**
 * Widens a run to a window of 2^n rows that begins at a multiple of its own length, with rows that nobody asked for;
 * the run itself where one of those may not be written. A CUDA graph is good for one window only: of windows like these
 * there are twice as many as rows, of any others as many as pairs of rows; and on a GPU 16 rows take as long as one.
 */
export function widenToWindow<T extends ReadyRow>(
  run: DecodeRun<T>,
  { maxRows, cacheTokens, bridgeable }: WindowLimits,
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
