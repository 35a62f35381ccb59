import { PetalsError } from '../../base/errors.ts'
import { viewOf } from '../../runtime/library.ts'
import { discardMemory } from '../../runtime/system-memory.ts'
import { RowBases, type SpanWindow } from './window.ts'
import type { Row } from './row-allocator.ts'
import { type LoadedSpan, cacheBytes } from '../run/runner.ts'
import type { Batch } from '../schedule/scheduler.ts'

/** Keeps the rows of a span on a CPU within the slots that its windowed blocks have for them. */
export class WindowSlider {
  readonly #span: LoadedSpan
  readonly #window: SpanWindow
  readonly #bases: RowBases
  readonly #tokenBytes: number

  constructor(span: LoadedSpan, window: SpanWindow) {
    this.#span = span
    this.#window = window
    this.#bases = new RowBases(window)
    this.#tokenBytes = cacheBytes(span)
  }

  /**
   * Makes room for a batch; returns the position in slot 0 of each row. Throws `SESSION_POSITION` where a row does not
   * hold all that its step attends to any more; no row has changed then.
   */
  prepare({ offset, capacity, pastLengths, tokens, start, end }: Batch): number[] {
    const rows = pastLengths.map((_, i): Row => ({ offset: offset + i * capacity, capacity }))
    for (const [i, row] of rows.entries()) {
      if (this.#bases.reaches(row, pastLengths[i]!)) continue
      throw new PetalsError(
        'SESSION_POSITION',
        `a step at position ${pastLengths[i]} needs positions that are no longer in the cache`,
      )
    }
    return rows.map((row, i) => {
      const past = pastLengths[i]!
      if (past === 0) this.#bases.set(row, 0)
      else if (!this.#bases.hasRoom(row, past, tokens)) this.#slide(row, past, start, end)
      return this.#bases.get(row)
    })
  }

  /** The row's session is over. */
  discard({ offset, capacity }: Row): void {
    for (const { key, value } of this.#span.caches) {
      for (const address of [key, value])
        discardMemory(address + BigInt(offset * this.#tokenBytes), capacity * this.#tokenBytes)
    }
  }

  /** The latest positions up to `past` move to the front, in all windowed blocks of the session. */
  #slide(row: Row, past: number, start: number, end: number): void {
    const base = this.#bases.get(row),
      latest = this.#bases.latest(past)
    const { kvHeads, caches } = this.#span
    const headBytes = this.#tokenBytes / kvHeads,
      rowBytes = row.capacity * this.#tokenBytes
    const from = (latest - base) * headBytes,
      until = (past - base) * headBytes
    for (let block = start; block < end; block++) {
      if (!this.#window.blocks[block]) continue
      for (const address of [caches[block]!.key, caches[block]!.value]) {
        const bytes = viewOf(address + BigInt(row.offset * this.#tokenBytes), rowBytes)
        for (let head = 0; head < rowBytes; head += row.capacity * headBytes)
          bytes.copyWithin(head, head + from, head + until)
      }
    }
    this.#bases.set(row, latest)
  }
}
