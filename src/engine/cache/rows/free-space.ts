import type { Row } from './row.ts'

/** Which tokens of a cache are taken by rows that never overlap. */
export class FreeSpace {
  readonly #positions: number
  /** By their offsets, in order. */
  readonly #rows: Row[] = []

  /** Rows lie within tokens 0 to `positions`. */
  constructor(positions: number) {
    this.#positions = positions
  }

  get numRows(): number {
    return this.#rows.length
  }

  /** The first free row of `capacity` tokens whose offset is a multiple of `step`; `undefined` where none is. */
  find(capacity: number, step: number): Row | undefined {
    let offset = 0
    for (const row of this.#rows) {
      if (offset + capacity <= row.offset) break
      offset = Math.max(offset, Math.ceil((row.offset + row.capacity) / step) * step)
    }
    return offset + capacity <= this.#positions ? { offset, capacity } : undefined
  }

  /** The last one. */
  findLast(capacity: number, step: number): Row | undefined {
    const last = (end: number): number => Math.floor((end - capacity) / step) * step
    let offset = last(this.#positions)
    for (const row of this.#rows.toReversed()) {
      if (row.offset + row.capacity <= offset) break
      offset = Math.min(offset, last(row.offset))
    }
    return offset >= 0 ? { offset, capacity } : undefined
  }

  take(row: Row): void {
    const behind = this.#rows.findIndex(({ offset }) => offset > row.offset)
    this.#rows.splice(behind === -1 ? this.#rows.length : behind, 0, row)
  }

  /** Of a row that was taken. */
  free(row: Row): void {
    this.#rows.splice(this.#rows.indexOf(row), 1)
  }
}
