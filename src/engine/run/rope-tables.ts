import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { ropeKey, ropeAngles } from '../../families/parts/rope.ts'
import { convert } from '../../tensor/convert.ts'
import type { FloatDType } from '../../tensor/dtype.ts'
import { type Tensor, byteLength, fromFloat32 } from '../../tensor/tensor.ts'

/** cos and sin, [positions, rotaryDim / 2], in the span's dtype and in shared memory. */
export interface RopeTable {
  readonly cos: Tensor
  readonly sin: Tensor
}

/** The tables of one kind of sessions: one for each of the model's rotary embeddings. */
export interface RopeTensors {
  readonly ropes: readonly RopeTable[]
  /** That each has room for. */
  readonly positions: number
  /** One number in shared memory: so many positions from 0 on are there, the others are not yet. */
  readonly filled: Int32Array
}

/** Positions that are computed at a stretch, 3 ms: a table of 131072 positions would hold up all sessions for 0.4 s. */
const PIECE_POSITIONS = 1024

/**
 * Tables that no row uses are kept for the next session of their kind, but not one per length that was ever asked for.
 */
const MAX_UNUSED = 8

interface Entry {
  readonly table: RopeTensors
  /** The declared length of one of the sessions of this kind: all give the same angles. */
  readonly maxLength: number
  users: number
}

/** How many of a table's positions may be read, in any thread. */
export function filledPositions({ filled }: RopeTensors): number {
  return Atomics.load(filled, 0)
}

/**
 * The rotary tables of the open rows. Scalings whose angles depend on length take their factor from the session's
 * declared maximum, once, so that a replay gives what stepping gave; rows of one key share a table.
 */
export class RopeTables {
  readonly #config: ModelConfig
  readonly #dtype: FloatDType
  readonly #entries = new Map<string, Entry>()
  readonly #onTable: (key: string, table: RopeTensors) => void

  /** `onTable` is told of each table that is made; it fills up later, as far as runs need it. */
  constructor(config: ModelConfig, dtype: FloatDType, onTable: (key: string, table: RopeTensors) => void) {
    this.#config = config
    this.#dtype = dtype
    this.#onTable = onTable
  }

  get size(): number {
    return this.#entries.size
  }

  /** The table of an open row's kind, of which at least the first `positions` are there: all where not given. */
  get(key: string, positions = Infinity): RopeTensors {
    const entry = this.#entries.get(key)!
    this.#fill(entry, Math.min(positions, entry.table.positions))
    return entry.table
  }

  /**
   * Makes sure of a table with room for a row of `capacity` positions; returns its key, to be given back to `release`.
   */
  acquire(maxLength: number, capacity: number): string {
    const key = ropeKey(this.#config.ropes, maxLength)
    const entry = this.#entries.get(key)
    const table =
      entry !== undefined && entry.table.positions >= capacity ? entry.table : this.#make(key, capacity, entry?.table)
    // Set anew, so that what was used last stands last.
    this.#entries.delete(key)
    this.#entries.set(key, { table, maxLength, users: (entry?.users ?? 0) + 1 })
    return key
  }

  release(key: string): void {
    this.#entries.get(key)!.users--
    const unused = [...this.#entries].filter(([, { users }]) => users === 0)
    for (const [old] of unused.slice(0, -MAX_UNUSED)) this.#entries.delete(old)
  }

  #make(key: string, positions: number, known: RopeTensors | undefined): RopeTensors {
    const ropes = this.#config.ropes.map(({ rotaryDim }) => {
      const shape = [positions, rotaryDim / 2]
      return { cos: sharedTensor(this.#dtype, shape), sin: sharedTensor(this.#dtype, shape) }
    })
    const table: RopeTensors = { ropes, positions, filled: new Int32Array(new SharedArrayBuffer(4)) }
    if (known !== undefined) {
      for (const [i, { cos, sin }] of known.ropes.entries()) {
        ropes[i]!.cos.data.set(cos.data)
        ropes[i]!.sin.data.set(sin.data)
      }
      Atomics.store(table.filled, 0, filledPositions(known))
    }
    this.#onTable(key, table)
    return table
  }

  #fill({ table, maxLength }: Entry, positions: number): void {
    const { positions: capacity, ropes, filled } = table
    for (let first = filledPositions(table); first < positions; first = filledPositions(table)) {
      const count = Math.min(PIECE_POSITIONS, capacity - first)
      for (const [i, rope] of this.#config.ropes.entries()) {
        const piece = ropeAngles(rope, { maxLength, first, positions: count })
        for (const name of ['cos', 'sin'] as const) {
          const { data } = ropes[i]![name]
          data.set(
            convert(fromFloat32(piece[name], [count, piece.halfDim]), this.#dtype).data,
            (first * data.byteLength) / capacity,
          )
        }
      }
      Atomics.store(filled, 0, first + count)
    }
  }
}

/** Pages of it that are not filled take no memory. */
function sharedTensor(dtype: FloatDType, shape: readonly number[]): Tensor {
  return { dtype, shape, data: new Uint8Array(new SharedArrayBuffer(byteLength(dtype, shape))) }
}
