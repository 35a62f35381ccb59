import { PetalsError } from '../../../base/errors.ts'
import type { BlockRange, KvCache, SequenceId } from '../kv-cache.ts'
import { RowCopier } from './row-copier.ts'
import type { Row } from './row.ts'
import type { CacheShape, RowMemory } from './row-memory.ts'
import { CacheScales } from './scales.ts'
import { WindowSlider } from './window-slider.ts'
import { RowBases } from './window.ts'
import { threadRuntime } from '../../../runtime/thread-runtime.ts'

interface RowState {
  readonly row: Row
  /** Filled positions; what lies beyond may be overwritten at any time. */
  length: number
}

/** Sequences in rows of one piece of memory per block. */
export class RowCache implements KvCache {
  readonly memory: RowMemory
  readonly #bases: RowBases | undefined
  readonly #slider: WindowSlider | undefined
  readonly #copier: RowCopier
  readonly #rows = new Map<SequenceId, RowState>()
  /** The same by their offsets. */
  readonly #byOffset = new Map<number, RowState>()

  constructor(memory: RowMemory, shape: Pick<CacheShape, 'kvHeads' | 'cacheHeadDim'>) {
    this.memory = memory
    this.#bases = memory.window && new RowBases(memory.window)
    this.#slider = memory.window && new WindowSlider(memory, memory.window, this.#bases!)
    const scales = memory.scales && new CacheScales(shape, memory.scales)
    this.#copier = new RowCopier(memory, { bases: this.#bases, scales })
  }

  reserve(sequence: SequenceId, row: Row): void {
    const state = { row, length: 0 }
    this.#bases?.set(row, 0)
    this.#rows.set(sequence, state)
    this.#byOffset.set(row.offset, state)
  }

  lengthOf(sequence: SequenceId): number {
    return this.#state(sequence).length
  }

  append(sequence: SequenceId, tokens: number): void {
    this.#state(sequence).length += tokens
  }

  truncate(sequence: SequenceId, length: number): void {
    const state = this.#state(sequence)
    if (length > state.length || !(this.#bases?.reaches(state.row, length) ?? true)) {
      throw new PetalsError(
        'SESSION_POSITION',
        `a step at position ${length} needs positions that are not in the cache, or no longer`,
      )
    }
    state.length = length
  }

  slide(sequence: SequenceId, tokens: number, blocks: BlockRange): void {
    const { row, length } = this.#state(sequence)
    this.#slider?.slide(row, length, tokens, blocks)
  }

  fork(from: SequenceId, to: SequenceId, tokens: number, blocks: BlockRange): void {
    const target = this.#state(to)
    target.length = 0
    this.#copier.copy({ from: this.#state(from).row, to: target.row, tokens, blocks })
    target.length = tokens
  }

  release(sequence: SequenceId): void {
    const { row } = this.#state(sequence)
    this.#rows.delete(sequence)
    this.#byOffset.delete(row.offset)
    // An idle row of a run begins at position 0 wherever it lies.
    this.#bases?.set(row, 0)
    if (!this.memory.discards) return
    const { tokenBytes, blocks } = this.memory
    for (const address of blocks.flatMap(({ key, value }) => [key, value]))
      threadRuntime.systemMemory.discard(address + BigInt(row.offset * tokenBytes), row.capacity * tokenBytes)
  }

  /** Where an open sequence lies. */
  rowOf(sequence: SequenceId): Row {
    return this.#state(sequence).row
  }

  /** The position in slot 0 of each of some rows' windowed blocks, in a cache that has any. */
  basesOf(rows: readonly Row[]): number[] | undefined {
    return this.#bases && rows.map((row) => this.#bases!.get(row))
  }

  /** Tokens that the row at `offset` holds; 0 where there is none. */
  lengthAt(offset: number): number {
    return this.#byOffset.get(offset)?.length ?? 0
  }

  /**
   * Whether tokens `offset` to `offset + capacity` may be written at the next position of a row there without harm:
   * they are free, or one row of that capacity that has room left as it lies.
   */
  mayWriteIdly(offset: number, capacity: number): boolean {
    for (const { row, length } of this.#rows.values()) {
      if (row.offset >= offset + capacity || row.offset + row.capacity <= offset) continue
      if (row.offset !== offset || row.capacity !== capacity) return false
      // Another run of the same batch may add a token to it before.
      if (length + 1 >= capacity || !(this.#bases?.hasRoom(row, length, 1) ?? true)) return false
    }
    return true
  }

  #state(sequence: SequenceId): RowState {
    const state = this.#rows.get(sequence)
    if (state === undefined) throw new RangeError(`sequence ${sequence} is not open`)
    return state
  }
}
