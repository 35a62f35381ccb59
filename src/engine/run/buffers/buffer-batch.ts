import type { CacheRow } from '../../cache/buffers/cache-row.ts'
import type { AdapterRanks } from '../../adapters/adapter-memory.ts'
import type { BatchPrompts } from '../deep-prompts.ts'

/**
 * Rows whose keys and values lie in buffers of their own, each with `tokens` new positions behind its past length,
 * through blocks `start` to `end` of the span: what one device run computes. Several rows have one token each.
 */
export interface BufferBatch {
  readonly rows: readonly CacheRow[]
  readonly pastLengths: readonly number[]
  readonly start: number
  readonly end: number
  readonly tokens: number
  /** [rows, tokens, hidden] in the span's dtype. */
  readonly input: Uint8Array
  readonly output: Uint8Array
  /** That of all rows. */
  readonly adapter?: AdapterRanks | undefined
  /** Of a single row. */
  readonly prompts?: BatchPrompts | undefined
  /** Who asks for it; of several, one. */
  readonly client?: string | undefined
}
