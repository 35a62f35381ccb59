import type { Pointer } from '../../../runtime/library.ts'
import type { BufferHeap } from '../../../runtime/memory.ts'
import { sliceRows } from '../../../tensor/tensor.ts'
import { LruMap } from '../lru-map.ts'
import { type RopeTensors, filledPositions } from '../rope-tables.ts'

/** The rotary tables of one kind of sessions, as far as runs have needed them. */
export interface BufferRope {
  /** Another one whenever its buffers are others than before; no two ever have the same. */
  readonly id: number
  readonly positions: number
  /** cos and sin, [positions, width] each, of each of the source's tables. */
  readonly tables: readonly { readonly cos: Pointer; readonly sin: Pointer; readonly width: number }[]
}

/** Tables of as many kinds of sessions as may be open, within reason; each takes a few MB. */
const MAX_TABLES = 32

/** A table begins with so many positions, and doubles until it grows by as many as here at a time. */
const FIRST_POSITIONS = 1024
const MOST_POSITIONS_MORE = 8192

/** How many positions of a table with room for `room` are filled for a run that needs `needed`. */
export function tablePositions(needed: number, room: number): number {
  let positions = FIRST_POSITIONS
  while (positions < needed) positions += Math.min(positions, MOST_POSITIONS_MORE)
  return Math.min(positions, room)
}

/** The rotary tables that runs read, in buffers: a longer one takes the place of one that has become too short. */
export class BufferRopes {
  readonly #heap: BufferHeap
  readonly #tables: LruMap<RopeTensors, BufferRope>
  #nextId = 0

  constructor(heap: BufferHeap) {
    this.#heap = heap
    this.#tables = new LruMap(MAX_TABLES, (table) => this.#free(table))
  }

  /** All positions of the source that are filled. Throws `RUNTIME_MEMORY`. */
  get(source: RopeTensors): BufferRope {
    const positions = filledPositions(source)
    const known = this.#tables.get(source, () => this.#make(source, positions))
    if (known.positions >= positions) return known
    this.#tables.delete(source)
    return this.#tables.get(source, () => this.#make(source, positions))
  }

  release(): void {
    this.#tables.clear()
  }

  #make(source: RopeTensors, positions: number): BufferRope {
    const buffers: Pointer[] = []
    try {
      const tables = source.ropes.map((table) => {
        const upload = (part: 'cos' | 'sin'): Pointer => {
          const { data } = sliceRows(table[part], 0, positions)
          const buffer = this.#heap.allocate(data.byteLength)
          buffers.push(buffer)
          // What is shared between threads has to be copied before it is handed to the library.
          this.#heap.write(buffer, data.slice())
          return buffer
        }
        return { cos: upload('cos'), sin: upload('sin'), width: table.cos.shape[1]! }
      })
      return { id: this.#nextId++, positions, tables }
    } catch (error) {
      for (const buffer of buffers) this.#heap.free(buffer)
      throw error
    }
  }

  #free({ tables }: BufferRope): void {
    for (const { cos, sin } of tables) for (const buffer of [cos, sin]) this.#heap.free(buffer)
  }
}
