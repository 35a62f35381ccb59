/** A decode step that is ready: one token of the row at `offset`. */
export interface ReadyRow {
  readonly offset: number
  readonly capacity: number
  readonly start: number
  readonly end: number
  readonly ropeKey: string
}

/** Adjacent rows of one capacity that go through the same blocks in one device run; `undefined` is a bridged gap. */
export interface DecodeRun<T extends ReadyRow> {
  readonly offset: number
  readonly capacity: number
  readonly rows: readonly (T | undefined)[]
}

/**
 * A run over a gap computes rows that nobody asked for; one more run reads all weights again. On a CPU an idle row
 * costs about a fifth of what a run of its own does (1.8 ms for one row, 6.0 for 16 in the bundled model).
 */
const MAX_GAP_ROWS = 4

/**
 * What idle rows cost on a device where a row by itself costs nothing, but attention reads the tokens that it holds.
 */
export interface IdleCost {
  /** Tokens that the row at `offset` holds; 0 for one that is free. */
  readonly tokensAt: (offset: number) => number
  /** So many tokens take as long to read as the weights of a run. */
  readonly runTokens: number
}

/**
 * Groups ready rows into as few runs as pay. `bridgeable(offset, capacity)` says whether that row may be written at its
 * next position without harm: it is free, or belongs to a session of the same capacity that has room left. `idle`:
 * what decides about gaps in place of their number.
 */
export function planDecodeRuns<T extends ReadyRow>(
  ready: readonly T[],
  maxRows: number,
  bridgeable: (offset: number, capacity: number) => boolean,
  idle?: IdleCost,
): DecodeRun<T>[] {
  const groups = Map.groupBy(ready, ({ start, end, capacity, ropeKey }) => `${start}:${end}:${capacity}:${ropeKey}`)
  return [...groups.values()].flatMap((group) => splitGroup(group, maxRows, bridgeable, idle))
}

function splitGroup<T extends ReadyRow>(
  group: readonly T[],
  maxRows: number,
  bridgeable: (offset: number, capacity: number) => boolean,
  idle: IdleCost | undefined,
): DecodeRun<T>[] {
  const sorted = group.toSorted((a, b) => a.offset - b.offset)
  const runs: { offset: number; capacity: number; rows: (T | undefined)[] }[] = []
  for (const row of sorted) {
    const run = runs.at(-1)
    const gap = run === undefined ? Infinity : (row.offset - run.offset) / row.capacity - run.rows.length
    if (
      run === undefined ||
      gap > (idle === undefined ? MAX_GAP_ROWS : maxRows) ||
      run.rows.length + gap >= maxRows ||
      !gapIsBridgeable(run, gap, bridgeable) ||
      (idle !== undefined && idleTokens(gapRows(run, gap), idle) > idle.runTokens)
    ) {
      runs.push({ offset: row.offset, capacity: row.capacity, rows: [row] })
      continue
    }
    for (let i = 0; i < gap; i++) run.rows.push(undefined)
    run.rows.push(row)
  }
  return runs
}

function gapIsBridgeable(
  run: DecodeRun<ReadyRow>,
  gap: number,
  bridgeable: (offset: number, capacity: number) => boolean,
): boolean {
  return Number.isInteger(gap) && gapRows(run, gap).every((offset) => bridgeable(offset, run.capacity))
}

/** Where the rows of a gap behind a run lie. */
function gapRows({ offset, capacity, rows }: DecodeRun<ReadyRow>, gap: number): number[] {
  return Array.from({ length: gap }, (_, i) => offset + (rows.length + i) * capacity)
}

/** What rows at these offsets hold together. */
export function idleTokens(offsets: readonly number[], { tokensAt }: IdleCost): number {
  return offsets.reduce((sum, offset) => sum + tokensAt(offset), 0)
}
