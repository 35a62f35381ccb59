import { PetalsError } from '../../../base/errors.ts'
import type { DeviceHeap } from '../../../runtime/memory.ts'
import type { BlockRange } from '../kv-cache.ts'
import type { Row } from './row.ts'
import type { RowMemory } from './row-memory.ts'
import type { CacheScales } from './scales.ts'
import type { RowBases } from './window.ts'
import { threadRuntime } from '../../../runtime/thread-runtime.ts'

/** The first `tokens` positions of row `from` go to row `to`, which may differ in capacity. */
export interface RowCopy {
  readonly from: Row
  readonly to: Row
  readonly tokens: number
  readonly blocks: BlockRange
}

/** What a copy takes along beside keys and values, in a cache that has it. */
export interface RowExtras {
  readonly bases: RowBases | undefined
  readonly scales: CacheScales | undefined
}

/** Copies between the rows of a cache, within the device's memory. */
export class RowCopier {
  readonly #memory: RowMemory
  readonly #extras: RowExtras
  readonly #heap: DeviceHeap

  constructor(memory: RowMemory, extras: RowExtras) {
    this.#memory = memory
    this.#extras = extras
    this.#heap = threadRuntime.heap(memory.device)
  }

  /**
   * Throws `RuntimeError` where the device fails, and `SESSION_FORK` where windowed blocks no longer hold what the copy
   * would attend to, or have less room for it.
   */
  copy({ from, to, tokens, blocks: { start, end } }: RowCopy): void {
    if (tokens === 0) return
    const { bases, scales } = this.#extras
    const base = bases?.get(from) ?? 0
    if (bases !== undefined && (!bases.reaches(from, tokens) || tokens - base > bases.slots(to))) {
      throw new PetalsError(
        'SESSION_FORK',
        `the first ${tokens} tokens are not in the cache as a row of ${to.capacity} tokens would hold them`,
      )
    }
    bases?.set(to, base)
    scales?.copy(from, to, start, end)
    const { blocks, tokenBytes, kvHeads, window } = this.#memory
    const headBytes = tokenBytes / kvHeads
    const copies = blocks.slice(start, end).flatMap(({ key, value }, i) =>
      [key, value].map((address) => ({
        from: address + BigInt(from.offset * tokenBytes),
        fromPitch: from.capacity * headBytes,
        to: address + BigInt(to.offset * tokenBytes),
        toPitch: to.capacity * headBytes,
        width: (window?.blocks[start + i] ? tokens - base : tokens) * headBytes,
        rows: kvHeads,
      })),
    )
    this.#heap.copy(copies)
  }
}
