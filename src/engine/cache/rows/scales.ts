import type { Pointer } from '../../../runtime/library.ts'
import type { Bound } from '../../../runtime/run.ts'
import { ROW_UNIT, type Row, type RowRange } from './row.ts'
import type { CacheShape } from './row-memory.ts'

/**
 * Of each block the scales of all rows, keys' before values', in memory that all threads share, and 0 where nothing is
 * there yet; `undefined` for a cache that needs none.
 */
export function scalesOf(
  { kvDType, kvHeads, cacheHeadDim }: CacheShape,
  numBlocks: number,
  positions: number,
): SharedArrayBuffer[] | undefined {
  if (kvDType === undefined) return undefined
  const rowBytes = 2 * kvHeads * cacheHeadDim * Float32Array.BYTES_PER_ELEMENT
  return Array.from({ length: numBlocks }, () => new SharedArrayBuffer(Math.ceil(positions / ROW_UNIT) * rowBytes))
}

/**
 * What the numbers of an int8 cache stand for, for each row, block and channel: the first run of a row sets its scales.
 */
export class CacheScales {
  readonly #blocks: readonly Float32Array[]
  readonly #channels: number
  #given = new Float32Array(0)
  #used = new Float32Array(0)

  constructor(
    { kvHeads, cacheHeadDim }: Pick<CacheShape, 'kvHeads' | 'cacheHeadDim'>,
    memory: readonly SharedArrayBuffer[],
  ) {
    this.#blocks = memory.map((scales) => new Float32Array(scales))
    this.#channels = kvHeads * cacheHeadDim
  }

  /**
   * What one block of a run takes and gives beside its cache, until the next one is bound. `wrap` makes float32
   * tensors.
   */
  bind(
    wrap: (shape: readonly number[], data: Float32Array) => Pointer,
    { offset, capacity, pastLengths }: RowRange,
    block: number,
  ): { inputs: Bound[]; outputs: Bound[] } {
    const rows = pastLengths.length,
      size = rows * this.#channels
    if (this.#given.length < 2 * size)
      [this.#given, this.#used] = [new Float32Array(2 * size), new Float32Array(2 * size)]
    for (const [i, past] of pastLengths.entries()) {
      const held = this.#ofRow(block, offset + i * capacity)
      if (past === 0) held.fill(0)
      this.#given.set(held.subarray(0, this.#channels), i * this.#channels)
      this.#given.set(held.subarray(this.#channels), size + i * this.#channels)
    }
    const part = (values: Float32Array, from: number) =>
      wrap([rows, 1, this.#channels], values.subarray(from, from + size))
    return {
      inputs: [
        ['key_scale', part(this.#given, 0)],
        ['value_scale', part(this.#given, size)],
      ],
      outputs: [
        ['used_key_scale', part(this.#used, 0)],
        ['used_value_scale', part(this.#used, size)],
      ],
    }
  }

  /** Keeps what the latest run, of this batch and block, has set. */
  keep({ offset, capacity, pastLengths }: RowRange, block: number): void {
    const size = pastLengths.length * this.#channels
    for (const [i, past] of pastLengths.entries()) {
      if (past > 0) continue
      const held = this.#ofRow(block, offset + i * capacity),
        from = i * this.#channels
      held.set(this.#used.subarray(from, from + this.#channels))
      held.set(this.#used.subarray(size + from, size + from + this.#channels), this.#channels)
    }
  }

  /** Row `to` holds what row `from` holds, in blocks `start` to `end`. */
  copy(from: Row, to: Row, start: number, end: number): void {
    for (let block = start; block < end; block++) this.#ofRow(block, to.offset).set(this.#ofRow(block, from.offset))
  }

  #ofRow(block: number, offset: number): Float32Array {
    const from = (offset / ROW_UNIT) * 2 * this.#channels
    return this.#blocks[block]!.subarray(from, from + 2 * this.#channels)
  }
}
