import type { Pointer } from '../../runtime/library.ts'
import type { DeviceHeap } from '../../runtime/memory.ts'
import { LruMap } from './lru-map.ts'
import { type Tensor, sliceRows } from '../../tensor/tensor.ts'
import { type RopeTensors, filledPositions } from './rope-tables.ts'

/** The rotary tables of one kind of sessions in the device's memory. */
export interface DeviceRope {
  /** No two ever have the same. */
  readonly id: number
  /** Of each of the source's tables, where cos and sin lie. */
  readonly addresses: readonly { readonly cos: Pointer; readonly sin: Pointer }[]
  readonly source: RopeTensors
  /** Positions that are there. */
  uploaded: number
}

/** Tables of as many kinds of sessions as may be open, within reason; each takes a few MB. */
const MAX_TABLES = 32

/**
 * The rotary tables that runs read, brought to the device as far as they are filled; where a table lies never changes.
 */
export class DeviceRopes {
  readonly #heap: DeviceHeap
  readonly #tables: LruMap<RopeTensors, DeviceRope>
  #nextId = 0

  constructor(heap: DeviceHeap) {
    this.#heap = heap
    this.#tables = new LruMap(MAX_TABLES, ({ addresses }) => {
      for (const { cos, sin } of addresses) for (const address of [cos, sin]) heap.free(address)
    })
  }

  /** Throws `RUNTIME_MEMORY`. */
  get(source: RopeTensors): DeviceRope {
    const table = this.#tables.get(source, () => {
      const addresses = source.ropes.map(({ cos, sin }) => ({
        cos: this.#heap.allocate(cos.data.byteLength),
        sin: this.#heap.allocate(sin.data.byteLength),
      }))
      return { id: this.#nextId++, addresses, source, uploaded: 0 }
    })
    const filled = filledPositions(source)
    if (table.uploaded < filled) {
      for (const [i, { cos, sin }] of table.addresses.entries()) {
        this.#upload(source.ropes[i]!.cos, cos, table.uploaded, filled)
        this.#upload(source.ropes[i]!.sin, sin, table.uploaded, filled)
      }
      table.uploaded = filled
    }
    return table
  }

  release(): void {
    this.#tables.clear()
  }

  #upload(source: Tensor, address: Pointer, start: number, end: number): void {
    const { data } = sliceRows(source, 0, start)
    this.#heap.write(address + BigInt(data.byteLength), sliceRows(source, start, end).data)
  }
}
