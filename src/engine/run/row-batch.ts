import type { RankRange } from '../adapters/adapter-memory.ts'
import type { RowMemory } from '../cache/rows/row-memory.ts'
import type { RowRange } from '../cache/rows/row.ts'
import type { BatchPrompts } from './deep-prompts.ts'

/**
 * Adjacent rows of keys and values, each with `tokens` new positions behind its past length, through blocks `start` to
 * `end` of the span: what one device run computes.
 */
export interface RowBatch extends RowRange {
  /** Whose rows they are: the cache's, or what a forward pass has taken for itself. */
  readonly memory: RowMemory
  /** Of each row the position in slot 0 of windowed blocks, in a memory that has such. */
  readonly bases?: readonly number[] | undefined
  readonly start: number
  readonly end: number
  readonly tokens: number
  /** [rows, tokens, hidden] in the span's dtype. */
  readonly input: Uint8Array
  readonly output: Uint8Array
  /** Of each row the ranks of its adapter, where any row has one. */
  readonly adapters?: readonly (RankRange | undefined)[] | undefined
  /** Deep prompts: of each row the same, of one row alone where all blocks are one run. */
  readonly prompts?: BatchPrompts | undefined
  /** Who asks for it; of several, one. */
  readonly client?: string | undefined
}
