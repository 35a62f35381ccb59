/** The unit of the cache, and the smallest row, in tokens. */
export const ROW_UNIT = 128

/** Tokens `offset` to `offset + capacity` of every block's cache belong to one sequence. */
export interface Row {
  readonly offset: number
  readonly capacity: number
}

/** Adjacent rows of one capacity, each filled up to its past length, that one device run carries. */
export interface RowRange extends Row {
  readonly pastLengths: readonly number[]
}

/** `tokens` rounded up to whole units, at least one. */
export function wholeUnits(tokens: number): number {
  return Math.max(1, Math.ceil(tokens / ROW_UNIT)) * ROW_UNIT
}
