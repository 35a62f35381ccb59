import { viewOf } from '../../../runtime/library.ts'
import type { BlockRange } from '../kv-cache.ts'
import type { Row } from './row.ts'
import type { RowMemory } from './row-memory.ts'
import type { RowBases, SpanWindow } from './window.ts'

/**
 * Keeps rows on a CPU within the slots that windowed blocks have for them, by moving their latest positions forward.
 */
export class WindowSlider {
  readonly #memory: RowMemory
  readonly #window: SpanWindow
  readonly #bases: RowBases

  constructor(memory: RowMemory, window: SpanWindow, bases: RowBases) {
    this.#memory = memory
    this.#window = window
    this.#bases = bases
  }

  /** Makes room for `tokens` more behind the `length` that a row holds, in the windowed ones among `blocks`. */
  slide(row: Row, length: number, tokens: number, blocks: BlockRange): void {
    if (length === 0) this.#bases.set(row, 0)
    else if (!this.#bases.hasRoom(row, length, tokens)) this.#moveLatest(row, length, blocks)
  }

  #moveLatest(row: Row, length: number, { start, end }: BlockRange): void {
    const base = this.#bases.get(row)
    const latest = this.#bases.latest(length)
    const { kvHeads, blocks, tokenBytes } = this.#memory
    const headBytes = tokenBytes / kvHeads
    const rowBytes = row.capacity * tokenBytes
    const from = (latest - base) * headBytes
    const until = (length - base) * headBytes
    for (let block = start; block < end; block++) {
      if (!this.#window.blocks[block]) continue
      for (const address of [blocks[block]!.key, blocks[block]!.value]) {
        const bytes = viewOf(address + BigInt(row.offset * tokenBytes), rowBytes)
        for (let head = 0; head < rowBytes; head += row.capacity * headBytes)
          bytes.copyWithin(head, head + from, head + until)
      }
    }
    this.#bases.set(row, latest)
  }
}
