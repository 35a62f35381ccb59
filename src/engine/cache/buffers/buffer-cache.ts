import { PetalsError } from '../../../base/errors.ts'
import type { BlockRange, KvCache, SequenceId } from '../kv-cache.ts'
import { CacheRow, type CacheRowModules } from './cache-row.ts'

interface SequenceState {
  readonly row: CacheRow
  /** Filled positions; what lies beyond may be overwritten at any time. */
  length: number
}

/** Sequences in buffers of their own, which grow as they are written to: for memory without addresses. */
export class BufferCache implements KvCache {
  readonly #modules: CacheRowModules
  readonly #sequences = new Map<SequenceId, SequenceState>()

  constructor(modules: CacheRowModules) {
    this.#modules = modules
  }

  reserve(sequence: SequenceId): void {
    this.#sequences.set(sequence, { row: this.newRow(), length: 0 })
  }

  lengthOf(sequence: SequenceId): number {
    return this.#state(sequence).length
  }

  append(sequence: SequenceId, tokens: number): void {
    this.#state(sequence).length += tokens
  }

  truncate(sequence: SequenceId, length: number): void {
    const state = this.#state(sequence)
    if (length > state.length)
      throw new PetalsError(
        'SESSION_POSITION',
        `a step at position ${length} needs positions that are not in the cache`,
      )
    state.length = length
  }

  slide(sequence: SequenceId, tokens: number, blocks: BlockRange): void {
    const { row, length } = this.#state(sequence)
    row.reserve(length + tokens, blocks)
  }

  fork(from: SequenceId, to: SequenceId, tokens: number, blocks: BlockRange): void {
    const target = this.#state(to)
    target.length = 0
    if (tokens > 0) target.row.copyFrom(this.#state(from).row, tokens, blocks)
    target.length = tokens
  }

  release(sequence: SequenceId): void {
    this.#state(sequence).row.release()
    this.#sequences.delete(sequence)
  }

  /** Where an open sequence lies. */
  rowOf(sequence: SequenceId): CacheRow {
    return this.#state(sequence).row
  }

  /** A row that belongs to no sequence; its owner releases it. */
  newRow(): CacheRow {
    return new CacheRow(this.#modules)
  }

  /** Gives everything back. */
  close(): void {
    for (const { row } of this.#sequences.values()) row.release()
    this.#sequences.clear()
    this.#modules.mover.close()
  }

  #state(sequence: SequenceId): SequenceState {
    const state = this.#sequences.get(sequence)
    if (state === undefined) throw new RangeError(`sequence ${sequence} is not open`)
    return state
  }
}
