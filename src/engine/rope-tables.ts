import type { ModelConfig } from '../checkpoint/config.ts'
import { ropeKey, ropeTable } from '../families/rope.ts'
import { convert } from '../tensor/convert.ts'
import type { FloatDType } from '../tensor/dtype.ts'
import { type Tensor, fromFloat32 } from '../tensor/tensor.ts'

/** cos and sin, [positions, rotaryDim / 2], in the span's dtype. */
export interface RopeTensors {
  readonly cos: Tensor
  readonly sin: Tensor
}

/** Tables that no row uses are kept for the next session of their kind, but not one per length that was ever asked for. */
const MAX_UNUSED = 8

interface Entry {
  table: RopeTensors
  users: number
}

/**
 * The rotary tables of the open rows. Scalings whose angles depend on length take their factor from the session's declared
 * maximum, once, so that a replay gives what stepping gave; rows of one key share a table.
 */
export class RopeTables {
  readonly #config: ModelConfig
  readonly #dtype: FloatDType
  readonly #entries = new Map<string, Entry>()
  readonly #onTable: (key: string, table: RopeTensors) => void

  /** `onTable` is told of each table that is made: it lies in shared memory. */
  constructor(config: ModelConfig, dtype: FloatDType, onTable: (key: string, table: RopeTensors) => void) {
    this.#config = config
    this.#dtype = dtype
    this.#onTable = onTable
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): RopeTensors {
    return this.#entries.get(key)!.table
  }

  /** Makes sure of a table for a row of `capacity` positions; returns its key, to be given back to `release`. */
  acquire(maxLength: number, capacity: number): string {
    const key = ropeKey(this.#config, maxLength)
    const entry = this.#entries.get(key)
    const table = entry !== undefined && entry.table.cos.shape[0]! >= capacity ? entry.table : this.#make(key, maxLength, capacity)
    // Set anew, so that what was used last stands last.
    this.#entries.delete(key)
    this.#entries.set(key, { table, users: (entry?.users ?? 0) + 1 })
    return key
  }

  release(key: string): void {
    this.#entries.get(key)!.users--
    const unused = [...this.#entries].filter(([, { users }]) => users === 0)
    for (const [old] of unused.slice(0, -MAX_UNUSED)) this.#entries.delete(old)
  }

  #make(key: string, maxLength: number, positions: number): RopeTensors {
    const { cos, sin, halfDim } = ropeTable(this.#config, { maxLength, positions })
    const tensorOf = (values: Float32Array) => inSharedMemory(convert(fromFloat32(values, [positions, halfDim]), this.#dtype))
    const table = { cos: tensorOf(cos), sin: tensorOf(sin) }
    this.#onTable(key, table)
    return table
  }
}

function inSharedMemory(source: Tensor): Tensor {
  const data = new Uint8Array(new SharedArrayBuffer(source.data.byteLength))
  data.set(source.data)
  return { ...source, data }
}
