import { SCALE_NOTCH, UNSET_SCALE } from '../graph/quantized-cache.ts'
import { type Pointer, viewOf } from '../runtime/library.ts'
import type { Bound } from '../runtime/run.ts'
import { ROW_UNIT, type Row } from './row-allocator.ts'
import type { LoadedSpan } from './runner.ts'
import type { Batch } from './scheduler.ts'

/** A run whose keys or values need larger scales by more than this was cut off. */
const MAX_GROWTH = 1.01 * SCALE_NOTCH

/**
 * Of each block the scales of all rows, keys' before values', in memory that all threads share, and 0 where nothing is there
 * yet; `undefined` for a cache that needs none.
 */
export function scalesOf({ kvDType, kvHeads, cacheHeadDim, inputs }: Omit<LoadedSpan, 'caches'>, positions: number): SharedArrayBuffer[] | undefined {
  if (kvDType === undefined) return undefined
  const rowBytes = 2 * kvHeads * cacheHeadDim * Float32Array.BYTES_PER_ELEMENT
  return inputs.map(() => new SharedArrayBuffer(Math.ceil(positions / ROW_UNIT) * rowBytes))
}

/**
 * What the numbers of an int8 cache stand for, for each row, block and channel. Scales grow with the largest key and
 * value so far, and come out the same whatever runs these came in; what lies there is rounded again then.
 */
export class CacheScales {
  readonly #span: LoadedSpan
  readonly #blocks: readonly Float32Array[]
  readonly #channels: number
  #used = new Float32Array(0)
  #needed = new Float32Array(0)

  constructor(span: LoadedSpan, memory: readonly SharedArrayBuffer[]) {
    this.#span = span
    this.#blocks = memory.map((scales) => new Float32Array(scales))
    this.#channels = span.kvHeads * span.cacheHeadDim
  }

  /** What one block of a run takes and gives beside its cache, until the next one is bound. `wrap` makes float32 tensors. */
  bind(wrap: (shape: readonly number[], data: Float32Array) => Pointer, { offset, capacity, pastLengths }: Batch, block: number): { inputs: Bound[], outputs: Bound[] } {
    const rows = pastLengths.length, size = rows * this.#channels
    if (this.#used.length < 2 * size) [this.#used, this.#needed] = [new Float32Array(2 * size), new Float32Array(2 * size)]
    for (const [i, past] of pastLengths.entries()) {
      const held = this.#ofRow(block, { offset: offset + i * capacity, capacity })
      if (past === 0) held.fill(0)
      this.#used.set(held.subarray(0, this.#channels), i * this.#channels)
      this.#used.set(held.subarray(this.#channels), size + i * this.#channels)
    }
    const part = (values: Float32Array, from: number) => wrap([rows, 1, this.#channels], values.subarray(from, from + size))
    return {
      inputs: [['key_scale', part(this.#used, 0)], ['value_scale', part(this.#used, size)]],
      outputs: [['needed_key_scale', part(this.#needed, 0)], ['needed_value_scale', part(this.#needed, size)]],
    }
  }

  /**
   * Takes over what the latest run, of this batch and block, needs. False where that is so much more than it was given that it
   * has to be run again. `bases`: the positions in slot 0 of each row.
   */
  settle({ offset, capacity, pastLengths, tokens, idle }: Batch, block: number, bases?: readonly number[]): boolean {
    const channels = this.#channels, size = pastLengths.length * channels
    const { key, value } = this.#span.caches[block]!
    let fits = true
    for (const [i, past] of pastLengths.entries()) {
      if (idle?.[i]) continue
      const row = { offset: offset + i * capacity, capacity }
      const held = this.#ofRow(block, row), filled = past + tokens - (bases?.[i] ?? 0)
      for (const [part, address] of [key, value].entries()) {
        const from = part * size + i * channels
        const scales = held.subarray(part * channels, (part + 1) * channels)
        fits = this.#grow(scales, this.#needed.subarray(from, from + channels), address, row, filled) && fits
      }
    }
    return fits
  }

  /** Row `to` holds what row `from` holds, in blocks `start` to `end`. */
  copy(from: Row, to: Row, start: number, end: number): void {
    for (let block = start; block < end; block++) this.#ofRow(block, to).set(this.#ofRow(block, from))
  }

  #grow(scales: Float32Array, needed: Float32Array, address: Pointer, row: Row, filled: number): boolean {
    let fits = true
    for (let channel = 0; channel < scales.length; channel++) {
      const from = scales[channel]!, to = needed[channel]!
      if (to <= from) continue
      scales[channel] = to
      if (from <= UNSET_SCALE) continue
      if (to > MAX_GROWTH * from) fits = false
      this.#roundAgain(address, row, channel, filled, from / to)
    }
    return fits
  }

  #roundAgain(address: Pointer, { offset, capacity }: Row, channel: number, filled: number, ratio: number): void {
    const { cacheHeadDim } = this.#span
    const head = Math.floor(channel / cacheHeadDim)
    const start = offset * this.#channels + head * capacity * cacheHeadDim
    const { buffer, byteOffset } = viewOf(address + BigInt(start), filled * cacheHeadDim)
    const steps = new Int8Array(buffer, byteOffset, filled * cacheHeadDim)
    for (let i = channel % cacheHeadDim; i < steps.length; i += cacheHeadDim) steps[i] = roundHalfToEven(steps[i]! * ratio)
  }

  #ofRow(block: number, { offset }: Row): Float32Array {
    const from = offset / ROW_UNIT * 2 * this.#channels
    return this.#blocks[block]!.subarray(from, from + 2 * this.#channels)
  }
}

function roundHalfToEven(x: number): number {
  const rounded = Math.round(x)
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}
