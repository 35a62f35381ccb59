import type { ModelConfig } from '../../checkpoint/config/config.ts'
import { memoryIsSparse } from '../../runtime/system-memory.ts'
import { type SpanWindow, basesMemory, cacheWindow, rowCost, stretchedTokens } from './window.ts'
import { RowAllocator } from './row-allocator.ts'

export interface RowLayoutOptions {
  readonly config: ModelConfig
  /** The span. */
  readonly start: number
  readonly end: number
  /** Memory for rows, in tokens that every block holds. */
  readonly cacheTokens: number
  /** The most tokens that one run adds to a row. */
  readonly stepTokens: number
}

/** Rows of a cache, and what they need to know where windowed blocks of theirs hold the latest positions only. */
export interface RowLayout {
  readonly rows: RowAllocator
  readonly window?: SpanWindow
}

/**
 * Where memory is taken only as it is written, long rows of windowed blocks cost what they write, and more of them fit
 * than their lengths say. `slides`: whether the span's runs can leave room for it.
 */
export function layOutRows(
  { config, start, end, cacheTokens, stepTokens }: RowLayoutOptions,
  slides: boolean,
): RowLayout {
  const window = slides ? cacheWindow(config.layers.slice(start, end), stepTokens) : undefined
  if (window === undefined) return { rows: new RowAllocator(cacheTokens) }
  const discards = memoryIsSparse()
  const rows = discards
    ? new RowAllocator(cacheTokens, {
        positions: stretchedTokens(window, cacheTokens, config.maxLength),
        costOf: (capacity) => rowCost(window, capacity),
      })
    : new RowAllocator(cacheTokens)
  return { rows, window: { ...window, bases: basesMemory(rows.positions), discards } }
}
