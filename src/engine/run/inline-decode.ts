import type { Environment } from '../../runtime/environment.ts'
import type { RankRange } from '../adapters/adapter-memory.ts'
import { RowBases } from '../cache/window.ts'
import type { RunReport } from '../thread/messages.ts'
import type { Row } from '../cache/row-allocator.ts'
import { type RopeTensors, filledPositions } from './rope-tables.ts'
import { type LoadedSpan, SpanRunner } from './runner.ts'

/** One row's decode step, blocks counted within the span. */
export interface InlineStep {
  readonly rowId: number
  readonly row: Row
  readonly ropeKey: string
  readonly adapter?: RankRange | undefined
  readonly start: number
  readonly end: number
  readonly position: number
  readonly hidden: Uint8Array
}

/** A step that takes longer does not belong on a thread that answers others; its hand-over costs a quarter of a ms. */
const MAX_SECONDS = 0.002

/** Of the latest kinds of sessions. */
const MAX_TABLES = 16

/** While several sessions decode, the engine thread makes one run of their steps. */
const OTHER_ROW_MS = 20

/**
 * Short decode steps on the caller's own thread: the hand-over to the engine thread and back costs about as much as a
 * small span's step. Only while that thread is idle, one session alone is decoding, and steps are known to be short.
 */
export class InlineDecode {
  readonly #runner: SpanRunner | undefined
  readonly #bases: RowBases | undefined
  readonly #tables = new Map<string, RopeTensors>()
  #stepSeconds = Infinity
  #lastRowId = -1
  #otherRowAt = -Infinity

  constructor(env: Environment, span: LoadedSpan) {
    // What a device has recorded belongs to the engine thread.
    this.#runner = span.resident === undefined ? new SpanRunner(env, span) : undefined
    this.#bases = span.window && new RowBases(span.window)
  }

  /** A table of the engine thread's; a step whose table is gone from here, or not filled so far, goes there. */
  addTable(key: string, table: RopeTensors): void {
    this.#tables.delete(key)
    this.#tables.set(key, table)
    for (const [oldest] of this.#tables) if (this.#tables.size > MAX_TABLES) this.#tables.delete(oldest)
  }

  /** Learns from a run how long a step of one row takes. */
  observe({ kind, rows, seconds }: Pick<RunReport, 'kind' | 'rows' | 'seconds'>): void {
    if (kind === 'decode' && rows === 1) this.#stepSeconds = seconds
  }

  /** Notes a decode step of a row and says whether it may run here. */
  suits(rowId: number, ropeKey: string, row: Row, position: number): boolean {
    const now = performance.now()
    if (rowId !== this.#lastRowId) this.#otherRowAt = now
    this.#lastRowId = rowId
    const table = this.#tables.get(ropeKey)
    return (
      this.#runner !== undefined &&
      this.#stepSeconds < MAX_SECONDS &&
      now - this.#otherRowAt > OTHER_ROW_MS &&
      table !== undefined &&
      table.positions >= row.capacity &&
      filledPositions(table) > position &&
      // What else would have to move first takes its time.
      (this.#bases?.hasRoom(row, position, 1) ?? true)
    )
  }

  /** Throws `RuntimeError`; then the row is as before. */
  run({ row, ropeKey, adapter, start, end, position, hidden }: InlineStep): { output: Uint8Array; report: RunReport } {
    const began = performance.now()
    const output = new Uint8Array(hidden.byteLength)
    this.#runner!.run(
      {
        ...row,
        start,
        end,
        tokens: 1,
        pastLengths: [position],
        ropeKey,
        adapters: adapter && [adapter],
        input: hidden,
        output,
      },
      this.#tables.get(ropeKey)!,
    )
    const seconds = (performance.now() - began) / 1000
    const report: RunReport = {
      type: 'run',
      kind: 'decode',
      priority: 'inference',
      rows: 1,
      tokens: 1,
      seconds,
      results: [],
    }
    this.observe(report)
    return { output, report }
  }

  close(): void {
    this.#runner?.close()
  }
}
